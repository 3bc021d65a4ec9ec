"""Drills: a whole shop with buyers who order all the time, something taken away for a while, and a verdict."""
