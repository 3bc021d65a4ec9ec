"""Tests of the site's wiring."""
