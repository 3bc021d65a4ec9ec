"""Who is behind, how fast groups are, who stands still, and who is told."""
