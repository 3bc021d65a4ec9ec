"""Which kinds of dead letters wait for a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, Max, Min

from kafka_bridge.models import UNREADABLE, DeadLetter


@dataclass(frozen=True, kw_only=True)
class ErrorKind:
    """Letters that wait for a person for the same reason."""

    fingerprint: str
    error: str
    handler: str
    type: str
    groups: list[str]
    count: int
    first: datetime
    last: datetime
    example: int
    """The newest of them."""

    @property
    def is_unreadable(self) -> bool:
        """Whether these are no events that this code knew: sent again as they are, they fail again."""
        return self.error.startswith(UNREADABLE)


def waiting(*, limit: int = 100) -> list[ErrorKind]:
    """The kinds of parked letters, most frequent first; reads parked letters only, in two queries."""
    counted = (
        DeadLetter.objects.filter(state=DeadLetter.State.PARKED)
        .order_by()
        .values("fingerprint")
        .annotate(
            number=Count("pk"),
            first=Min("died_at"),
            last=Max("died_at"),
            example=Max("pk"),
            groups=ArrayAgg("group", distinct=True),
        )
        .order_by("-number", "fingerprint")[:limit]
    )
    found = list(counted)
    examples = DeadLetter.objects.defer("value", "edited_value", "traceback").in_bulk([row["example"] for row in found])
    return [_kind(row, examples[row["example"]]) for row in found if row["example"] in examples]


def _kind(row: Mapping[str, Any], example: DeadLetter) -> ErrorKind:
    return ErrorKind(
        fingerprint=row["fingerprint"],
        error=example.error,
        handler=example.handler,
        type=example.type,
        groups=sorted(row["groups"]),
        count=row["number"],
        first=row["first"],
        last=row["last"],
        example=example.pk,
    )
