"""Examples that the documents build: no part of the shop, and nothing imports them."""
