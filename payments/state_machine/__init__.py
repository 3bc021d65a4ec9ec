"""Charges that are due are taken (`claiming`); the gateway's answer brings them on (`transitions`), and is written
(`settlement`)."""
