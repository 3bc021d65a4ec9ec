"""Mails to buyers: what they say, that they are owed, and how they are sent."""
