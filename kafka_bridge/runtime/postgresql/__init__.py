"""What is used of PostgreSQL: leaders by a lock, whole transactions, many rows at once, and no wait without an end."""
