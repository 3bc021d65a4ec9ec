"""Who is told, and what is seen of a cluster; groups, brokers and the processes themselves have a room each."""
