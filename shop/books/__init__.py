"""Books as buyers see them: search, prices and availability, pages, covers, ISBNs, seed data."""
