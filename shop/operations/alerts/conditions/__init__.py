"""What may be wrong with the shop: each condition finds its subjects in an overview."""
