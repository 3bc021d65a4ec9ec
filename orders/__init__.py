"""Orders: their state machine, lines, trail, shipments and mails."""
