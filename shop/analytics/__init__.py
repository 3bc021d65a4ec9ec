"""The analytics group: sales by day and by book, and what books cost."""
