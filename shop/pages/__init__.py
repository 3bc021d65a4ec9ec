"""The shop's own pages, which staff edit, in two languages: imprint, privacy, terms, delivery, returns, contact."""
