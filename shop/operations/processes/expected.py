"""Which processes should run: the setting EXPECTED_PROCESSES, or one of each role."""

from collections.abc import Mapping

from django.conf import settings
from django.core.checks import CheckMessage, Error

from kafka_bridge.consuming import consumer_groups

WEB, LIVE, RELAY, TIMEKEEPER = "web", "live", "relay", "timekeeper"
MOST = 1000
"""Of one role; more is a slip of the pen."""


class NotExpected(ValueError):
    """EXPECTED_PROCESSES cannot be read; the message says what to write."""


def roles() -> list[str]:
    """Every role that processes of the shop have."""
    return [WEB, LIVE, RELAY, TIMEKEEPER, *(group.name for group in consumer_groups.all_groups())]


def parse(text: str) -> dict[str, int]:
    """By role, how many should run, out of `web,live,relay:2,…`; one of each role where the text is empty.

    Raises:
        NotExpected: it cannot be read.
    """
    if not text.strip():
        return dict.fromkeys(roles(), 1)
    found: dict[str, int] = {}
    for part in text.split(","):
        role, _, number = (each.strip() for each in part.partition(":"))
        if role not in roles():
            raise NotExpected(f"there is no role {role!r}; roles are {', '.join(roles())}")
        if role in found:
            raise NotExpected(f"{role} is named twice: write its number once, as in {role}:2")
        if ":" in part and not (number.isascii() and number.isdigit() and int(number) <= MOST):
            raise NotExpected(f"{part.strip()!r}: after the colon stands a number from 0 to {MOST}, as in {role}:2")
        found[role] = int(number) if number else 1
    return found


def current() -> Mapping[str, int]:
    """What this shop expects.

    Raises:
        NotExpected: the setting cannot be read.
    """
    return parse(settings.EXPECTED_PROCESSES)


def check_setting(**_: object) -> list[CheckMessage]:
    """System check: EXPECTED_PROCESSES can be read."""
    try:
        current()
    except NotExpected as error:
        return [
            Error(
                f"EXPECTED_PROCESSES: {error}",
                hint="Write roles with commas, with a number where it is not one: web,live,relay:2,orders:3",
                id="shop.E020",
            )
        ]
    return []
