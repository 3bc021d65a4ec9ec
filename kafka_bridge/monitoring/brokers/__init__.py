"""What each broker says of itself: by JMX, by its certificate, and whether it answers at all."""
