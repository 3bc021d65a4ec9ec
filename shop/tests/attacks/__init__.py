"""Tests of what strangers try with pages and sockets: many inputs, made by seeded generators."""
