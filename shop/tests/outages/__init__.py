"""Tests of servers that are there and of no use: they drop everything, say nothing, or take no writes."""
