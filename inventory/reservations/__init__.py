"""What is held for whom: holds, who gets how many, limits per customer, holds that run out."""
