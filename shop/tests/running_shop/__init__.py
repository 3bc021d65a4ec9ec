"""Tests of the running shop: every role as a process, also with faults."""
