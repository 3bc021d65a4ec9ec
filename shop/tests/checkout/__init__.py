"""Tests of the checkout and the JSON interface."""
