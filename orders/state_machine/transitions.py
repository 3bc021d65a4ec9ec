"""What an order answers to every event, in every status. Nothing else decides what an event does to it.

| status | inventory.reserved | inventory.insufficient | inventory.expired | payment.action_required | payment.unknown | payment.confirmed | payment.failed | payment.refunded |
|---|---|---|---|---|---|---|---|---|
| PENDING   | too early    | move         | move         | move         | move         | move         | move         | illegal    |
| PAID      | move         | move         | move         | already done | already done | already done | already done | already done |
| SHIPPED   | already done | illegal      | illegal      | already done | already done | already done | already done | already done |
| DELIVERED | already done | illegal      | illegal      | already done | already done | already done | already done | already done |
| CANCELLED | compensate   | already done | already done | already done | already done | compensate   | already done | move       |

The last row is where money and stock come back: order.cancelled has been said (or is being said) to inventory and
payments, and they undo what they did, whichever of the two facts they hear first. The order only notes it. As long as
a payment.refunded says that some of the money is still with us, it is too early.
"""  # noqa: E501 - a table's row is one line

import enum
from collections.abc import Mapping

from events import catalogue
from kafka_bridge.wire.events import Event
from orders.models import Status


class Answer(enum.StrEnum):
    """What an order makes of an event."""

    MOVE = "move"
    """It takes the next step."""
    ALREADY_DONE = "already done"
    """It has been there; nothing changes, nothing regresses."""
    TOO_EARLY = "too early"
    """Noted; the step is taken once the other fact is in."""
    COMPENSATE = "compensate"
    """The order is over: who stated the fact undoes it."""
    ILLEGAL = "illegal"
    """Cannot happen if everybody is right. Noted on the trail and logged; nothing changes."""


_M, _D, _E, _C, _I = Answer.MOVE, Answer.ALREADY_DONE, Answer.TOO_EARLY, Answer.COMPENSATE, Answer.ILLEGAL
_EVENTS: tuple[type[Event], ...] = (
    catalogue.InventoryReserved,
    catalogue.InventoryInsufficient,
    catalogue.InventoryExpired,
    catalogue.PaymentActionRequired,
    catalogue.PaymentUnknown,
    catalogue.PaymentConfirmed,
    catalogue.PaymentFailed,
    catalogue.PaymentRefunded,
)
_ROWS: Mapping[Status, tuple[Answer, ...]] = {
    Status.PENDING: (_E, _M, _M, _M, _M, _M, _M, _I),
    Status.PAID: (_M, _M, _M, _D, _D, _D, _D, _D),
    Status.SHIPPED: (_D, _I, _I, _D, _D, _D, _D, _D),
    Status.DELIVERED: (_D, _I, _I, _D, _D, _D, _D, _D),
    Status.CANCELLED: (_C, _D, _D, _D, _D, _C, _D, _M),
}
ANSWERS: Mapping[tuple[Status, type[Event]], Answer] = {
    (status, event): answer for status, answers in _ROWS.items() for event, answer in zip(_EVENTS, answers, strict=True)
}


def answer_to(status: Status, event: type[Event]) -> Answer:
    """What an order in this status makes of this event.

    Raises:
        KeyError: orders do not hear such events.
    """
    return ANSWERS[status, event]
