"""What a condition finds wrong now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from shop.operations.alerts.alert import Severity

Source = Literal["processes", "kafka", "database", "redis", "anything"]
"""A part of the overview; `anything` for a condition that sees for itself what can be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One subject for which a condition holds."""

    subject: str = ""
    """What it is about, such as a group; empty where there is only one of it."""
    figures: Mapping[str, object] = field(default_factory=dict)
    """For the rule's sentence and advice."""
    since: datetime | None = None
    """Since when it is so, where that is known; else since it was seen first."""
    severity: Severity | None = None
    """Where it is another one than the rule's."""
    url: str = ""
    """Where it is another one than the rule's."""


def counted(number: int, noun: str) -> str:
    """Such as `1 mail` or `1,200 mails`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
