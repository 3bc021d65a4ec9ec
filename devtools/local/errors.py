"""The error for everything that prevents Bookrush from running on this machine."""


class LocalError(Exception):
    """Bookrush cannot run on this machine. The message says why and what to do: show it to the user."""
