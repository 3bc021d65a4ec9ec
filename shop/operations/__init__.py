"""Is the shop well, and who did what: health and the activity log."""
