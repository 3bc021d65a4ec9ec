"""How the past is read again: ranges of the log by offset or time, replay through the inbox, shadow tables."""
