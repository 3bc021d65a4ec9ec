"""Audits and the activity log in the admin."""
