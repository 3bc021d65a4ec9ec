"""How fast the shop is on this machine: `make bench`, or `python -m benchmarks --json`.

Everything is measured on real parts (PostgreSQL, Redis, a broker, the shop's own processes), started for the purpose in
a folder of its own and removed afterwards. Ratios compare things within one server and run, so they survive a busy
machine better than absolute figures do.
"""
