"""Health checks, and the activity log (who did what)."""
