"""The cart, of guests and of people who signed in, and its page."""
