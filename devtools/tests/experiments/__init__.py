"""Experiments: their verdicts on real brokers."""
