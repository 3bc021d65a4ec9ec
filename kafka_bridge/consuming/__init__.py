"""How a group works: who hears what, the loop that reads, one transaction a batch, the inbox, the offsets."""
