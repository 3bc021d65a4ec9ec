"""What each process says of itself every few seconds, where that is kept, and who writes it."""
