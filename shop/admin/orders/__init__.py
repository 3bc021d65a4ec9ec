"""Orders in the admin: list, page, timeline, and what staff may do to them."""
