"""The window on Kafka as the role live serves it: over HTTP and by sockets."""
