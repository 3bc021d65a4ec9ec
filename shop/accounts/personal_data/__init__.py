"""What the shop knows of a person: all of it in one file for them, and how it goes when they go."""
