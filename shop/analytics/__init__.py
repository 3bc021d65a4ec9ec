"""What the analytics group counts: sales by day and by book."""
