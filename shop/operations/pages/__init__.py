"""The operations page: what is shown at /ops/, and the pass that opens it.

`state` is all that a page may use, and comes from memory; `rendering` makes pages of it; `passes` says who may look.
The role live serves it (`shop.live.operations`), so nothing here waits for PostgreSQL, Redis or Kafka.
"""
