"""Tests of the storefront in a real browser."""
