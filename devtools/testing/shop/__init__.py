"""For tests of the shop: books, buyers, orders, sales, pages, whole stories."""
