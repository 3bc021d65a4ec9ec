"""Proof that the shop's books add up: every invariant by name, what breaks it, and what can be mended.

`manage.py audit`, the timekeeper, the admin and the simulations all call `run`.
"""

from shop.audit.report import Finding, Report, print_report
from shop.audit.running import TooSlow, run

__all__ = ["Finding", "Report", "TooSlow", "print_report", "run"]
