"""Drills: a whole shop under load, an outage of one of its parts, and a verdict."""
