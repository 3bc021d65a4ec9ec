"""Tests of what visitors do being counted."""
