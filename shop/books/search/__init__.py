"""Finding books: what somebody typed, the books that have it, and what else there is of them."""
