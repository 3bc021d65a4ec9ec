"""Who may decide about a letter: sending again, editing and discarding are permissions of their own.

# Note [A letter that moves something]
To send an event again, or to edit it, is to do what its handler does. So where a handler moves money, say, that takes
the permission for money as well. The site names it, by consumer group (whatever the group handles) or by the type of
the event (whoever hears it).
"""

from collections.abc import Callable
from typing import Any

from kafka_bridge.models import DeadLetter

REDRIVE, EDIT, DISCARD = (f"kafka_bridge.{name}_deadletter" for name in ("redrive", "edit", "change"))
by_group: dict[str, str] = {}
"""By consumer group: the permission that its letters take besides. The site fills it."""
by_type: dict[str, str] = {}
"""By type of event, likewise."""


def nothing_more(letter: DeadLetter) -> str:
    """For callers who may do everything: the command, whose user has the machine."""
    return ""


def obstacle_for(user: Any) -> Callable[[DeadLetter], str]:
    """What of a letter is missing in this user's permissions, in words, or "" if nothing is."""

    def obstacle(letter: DeadLetter) -> str:
        wanted = {by_group.get(letter.group, ""), by_type.get(letter.type, "")} - {""}
        missing = sorted(name for name in wanted if not user.has_perm(name))
        return f"it moves more than a message, and takes the permission {' and '.join(missing)}" if missing else ""

    return obstacle
