"""For tests of money: charges, the sandbox's bank in memory, Stripe's double, the gateway's books."""
