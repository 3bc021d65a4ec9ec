"""What only development, demos and proofs need: local services, testing support, drills. Production never imports it.

A container image leaves this folder out, and everything works without it.
"""
