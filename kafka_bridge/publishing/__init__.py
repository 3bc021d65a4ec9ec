"""How a fact gets out: `outbox.publish` writes a row in the caller's transaction, the relay brings it to Kafka."""
