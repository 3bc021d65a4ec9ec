"""Questions to Kafka that a learner can put: a prediction, a measurement on real brokers, a verdict (`catalogue`).

Each works in a `Lab`: topics and groups of its own, on the shop's broker where that suffices and on brokers of its own
where some are killed; nothing of it is left behind.
"""
