"""Tests of the admin's pages that cross apps; each app tests the pages of its own facts."""
