"""How an order comes into being: validated, given a reference, committed together with others (`group_commit`)."""
