"""Books as buyers find and see them: search, prices and what is left, pages, covers, ISBNs, the first stock."""
