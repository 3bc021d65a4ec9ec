"""Stock in the admin: by book, its movements, receiving and correcting."""
