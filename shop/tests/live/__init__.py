"""Tests of live pages and their sockets."""
