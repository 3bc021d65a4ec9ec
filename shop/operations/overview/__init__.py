"""What the shop looks like now, from each source that can say: processes, Kafka, PostgreSQL, Redis.

`figures` is what is seen, `collector` keeps it fresh. Nothing here decides whether it is well: that is for `alerts`.
"""
