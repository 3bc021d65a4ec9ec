"""What a person can do about messages that were given up: they are stored, previewed, redriven, edited, discarded."""
