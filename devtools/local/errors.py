"""What stops Bookrush from running on this machine."""


class LocalError(Exception):
    """Something on this machine is in the way. The message is one sentence that says what, and what to do: show it."""
