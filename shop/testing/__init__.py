"""What the tests run against: a PostgreSQL and a Redis of their own, a real Kafka, a browser, a whole shop."""
