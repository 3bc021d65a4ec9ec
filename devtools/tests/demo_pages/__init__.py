"""Pages that only a demo has."""
