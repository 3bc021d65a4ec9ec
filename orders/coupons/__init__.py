"""What may be taken off an order, how often and by whom: decided in the transaction that saves the order."""
