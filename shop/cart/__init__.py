"""The cart of guests and of signed-in users, and its page."""
