"""A fraud check, added to the shop without touching it: docs/add-a-service.md builds it step by step.

It reads what others state and opens a review where an order looks wrong. It states nothing and nobody waits for it: an
order goes its way as if the check were not there, also while it is stopped.
"""
