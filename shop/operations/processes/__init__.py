"""Which of the shop's processes run, and which should."""
