"""The analytics group: sales by day and by book."""
