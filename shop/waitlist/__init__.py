"""Who waits for a book that is sold out: joined by mail address, told in turn, each with a copy kept for a while."""
