"""The waiting room: a queue in front of a sale that knows how many copies there are.

Whoever asks gets a place; those who came before the opening are drawn, the others come after them. As many are admitted
as copies could still be theirs, and when the last one is sold for good, all others are told. It never decides stock.
"""
