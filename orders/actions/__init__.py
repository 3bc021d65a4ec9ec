"""What people and the clock do to orders: cancelling, parcels, returns. What other apps state is in `state_machine`."""
