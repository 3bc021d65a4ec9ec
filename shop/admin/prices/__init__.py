"""What orders cost besides their books, as staff edit it."""
