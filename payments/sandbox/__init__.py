"""A gateway to play with: a small bank in a process of its own, with test cards and its own ledger.

It is a process of its own because a real gateway is: it does not roll back with the shop, does not die with it, and
its answers can get lost on the way. The shop reaches it over HTTP only (`payments/gateways/sandbox.py`); its ledger
is a SQLite file that nobody else opens.

- `cards`   the test cards
- `bank`    the ledger and its rules
- `hooks`   sends the webhooks that wait in the ledger
- `server`  the HTTP API, and the page on which a buyer confirms a payment
"""
