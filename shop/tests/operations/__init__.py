"""Tests of health checks and the activity log."""
