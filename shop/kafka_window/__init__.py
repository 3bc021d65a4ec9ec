"""The window on Kafka at /kafka/: what lies in the topics, who has read it, and one order's way through them.

The role live serves it from memory. Nothing here runs while nobody looks.
"""
