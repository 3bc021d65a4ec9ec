"""What happens when a handler raises: attempts in place, then parked behind the retry topic, in order for each key."""
