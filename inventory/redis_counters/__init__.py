"""The counters in Redis that turn losers of a rush away, and how they are kept equal to PostgreSQL."""
