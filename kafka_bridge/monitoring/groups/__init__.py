"""How far consumer groups are behind, how fast they are, and which of them stand still."""
