"""Proof that the shop's books add up: every invariant by name, what breaks it, and what can be mended.

`manage.py audit`, the timekeeper, the admin and the simulations all call `run`.
"""

from shop.audit.report import AuditReport, Finding, print_report
from shop.audit.runner import TooSlow, run

__all__ = ["AuditReport", "Finding", "TooSlow", "print_report", "run"]
