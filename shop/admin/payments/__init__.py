"""Money in the admin: charges, and what needs a person."""
