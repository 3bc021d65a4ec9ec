"""For tests of the bridge: events, groups at work, messages in Kafka, dead letters, commands as processes."""
