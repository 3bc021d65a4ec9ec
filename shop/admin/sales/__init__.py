"""What is sold in the admin: books, flash sales, and the sales figures."""
