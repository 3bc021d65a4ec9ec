"""An order's page, what its buyer may do there, and the list of a buyer's orders."""
