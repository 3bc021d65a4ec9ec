"""What visitors do, counted for analytics: pages seen, searches, changes of carts. Never who did it.

Views call `noting`; a thread of the web process sends what was counted, about once a second (`sending`). Where no
process has called `sending.start()`, or `ACTIVITY_EVENTS` is off, nothing is counted.
"""
