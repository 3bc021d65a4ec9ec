"""Flash sales: which books are sold at which price, from when to when, and their units."""
