"""The shop as if nobody watched it: no heartbeats, samples, alerts and counted requests.

What a handler counts of its own messages stays: a few microseconds, which are in the figures of the runner.
"""
