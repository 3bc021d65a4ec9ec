"""What staff do to an order's dead letters, in the activity log of that order."""

from typing import Any
from uuid import UUID

import msgspec
from django.contrib.auth import get_user_model

from kafka_bridge.dead_letters.acts import LetterAct
from kafka_bridge.models import DeadLetter
from orders.models import Order
from shop.operations import activity_log

_WHAT = {"redriven": "message sent again", "edited": "message edited", "discarded": "message discarded"}


def record(*, act: LetterAct, **_: object) -> None:
    """Record an act, in its transaction; connected to `kafka_bridge.dead_letters.acts.noted`."""
    letter = act.letter
    order = _order_of(letter)
    facts = {"event": letter.type or "unreadable", "group": letter.group, "letter": letter.pk}
    before, after = _changed(letter.contents, act.edited) if act.edited is not None else ({}, {})
    activity_log.record(
        user=get_user_model().objects.filter(username=act.who).first(),
        who=act.who,
        what=_WHAT[act.what],
        subject=order.reference if order else letter.key or f"dead letter {letter.pk}",
        order_id=order.pk if order else None,
        reason=act.reason,
        before=facts | before,
        after=facts | after,
    )


def _order_of(letter: DeadLetter) -> Order | None:
    """The order that the letter's key names. A message that could not be read may name one as well."""
    try:
        return Order.objects.filter(pk=UUID(letter.key)).only("pk", "reference").first()
    except ValueError:
        return None


def _changed(before: bytes, after: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of the body that are different, before and after."""
    had, has = _fields(before), _fields(after)
    names = [name for name in {**had, **has} if had.get(name) != has.get(name)]
    return ({"body": {name: side.get(name) for name in names}} for side in (had, has))  # type: ignore[return-value]


def _fields(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
