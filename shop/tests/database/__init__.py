"""Tests of what the database itself holds: constraints, indexes, and the plans of queries over tables that grow."""
