"""What keeps it running: settings, Kafka clients, topics, processes, the scheduler, housekeeping, kinds of errors."""
