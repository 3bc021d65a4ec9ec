"""Tests of order pages."""
