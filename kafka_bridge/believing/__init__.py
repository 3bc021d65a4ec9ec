"""What a group believes: the messages that were stated; the others are refused, and lie on a list for people."""
