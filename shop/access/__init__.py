"""Who may do what in PostgreSQL: a role for each process, with the rights that its work needs and no other."""
