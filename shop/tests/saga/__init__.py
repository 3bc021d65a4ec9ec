"""Tests of the saga: whole stories through all apps, in one process."""
