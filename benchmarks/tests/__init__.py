"""Tests of the benchmarks' own arithmetic and of the load generator; what they measure has tests of its own."""
