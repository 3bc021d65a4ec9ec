"""Everything Kafka and nothing of books: outbox, relay, runner, inbox, dead letters, and the event catalogue."""
