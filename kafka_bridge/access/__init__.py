"""Who may do what on the brokers: a principal for each role, with exactly the rights that the registry implies."""
