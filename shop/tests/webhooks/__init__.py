"""Tests of the webhook endpoint."""
