"""Tests of the sales figures."""
