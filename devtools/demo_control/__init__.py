"""What the pages of a running demo may ask of it: to break a part for a while, and to run an experiment.

# Note [Who breaks, undoes]
The demo's own process does both, for it is the parent of all that can be broken. What was broken has an end from the
beginning, and is undone by that process whether or not anybody still looks; should the process itself die, nothing is
left that could stay broken. It is asked through a Unix socket in the state folder, which only its own user can open.
"""
