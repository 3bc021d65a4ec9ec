"""Alerts: what must not stay as it is, who is told, and when it was over.

`rules` is the one table of conditions; `evaluation` holds them against the overview; `board` keeps what is raised, and
`telling` says it to people. `watching` has all of that done every few seconds, by one process at a time.
"""
