"""Alerts, their silences, audits and the activity log in the admin."""
