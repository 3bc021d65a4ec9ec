"""Kafka on this machine without Docker: which one a demo takes, its jars, real brokers, and the embedded one."""
