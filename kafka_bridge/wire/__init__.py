"""What a message looks like: event types, topics, the CloudEvents envelope, schemas, and a message as it was read."""
