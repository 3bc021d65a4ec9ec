"""Tests of shipping, tax and coupons."""
