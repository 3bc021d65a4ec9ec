"""Alerts: what must not stay as it is, who is told, and when it was over.

`rules` is the one table of conditions; `evaluation` holds them against the overview; `channels` tell people.
"""
