"""The cards of /kafka/cards/: each concept in two sentences, something to do, a guess, and what the broker said.

What a card does, it does with topics and groups of its own, which it deletes; only where `KAFKA_PRACTICE` is on.
"""
