"""Refunds: money that was taken goes back, in part, once for each reduction or return.

These need a transaction under way, lock the charges that they touch, and only write rows; the gateway is called by
`gateway_worker.py`. A charge that goes back as a whole, because its order is over, is in `charges.py`.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from events import catalogue
from payments.models import Charge
from payments.state_machine import unit_of_work
from payments.state_machine.unit_of_work import REASON_LENGTH


class NothingTaken(Exception):
    """Money is to go back that was never taken; a person has to look, and nothing was changed."""


def refund_parts(*, reduced: Sequence[catalogue.OrderReduced]) -> None:
    """Give back what orders were reduced by, once for each reduction, and never more in sum than was taken.

    A charge that is going back as a whole already (its order's end was heard first) is left alone.

    Raises:
        NothingTaken: see there.
    """
    _refund_each((event, f"reduction {event.reduction}: {event.reason}") for event in reduced)


def refund_returns(*, returned: Sequence[catalogue.OrderReturned]) -> None:
    """Give back what returned copies cost, once for each return, and never more in sum than was taken.

    Raises:
        NothingTaken: see there.
    """
    _refund_each((event, f"return {event.number}: {event.reason}") for event in returned)


def refund_by_hand(*, charge_id: UUID, amount_minor: int, reason: str, by: str) -> Charge:
    """Give back this much of a charge that was captured, because a person says so.

    Raises:
        NothingTaken: so much is not left of it, or the same person has given the same reason before.
    """
    work = unit_of_work.of_charges([charge_id])
    charge = work.charges.get(charge_id)
    if charge is None or charge.state != Charge.State.SUCCEEDED or not 0 < amount_minor <= charge.left_minor:
        raise NothingTaken(f"So much of charge {charge_id} is not left to be refunded.")
    before = charge.refunded_minor
    work.give_back(charge, amount_minor, f"by {by[:40]}: {reason}")
    if charge.refunded_minor == before:
        raise NothingTaken("A refund with this reason was made before; give another reason.")
    work.close()
    return charge


def _refund_each(parts: Iterable[tuple[catalogue.OrderReduced | catalogue.OrderReturned, str]]) -> None:
    """The number makes each reason one of its own; a second delivery finds it."""
    wanted = list(parts)
    work = unit_of_work.of_orders({event.order_id for event, _ in wanted})
    charges = {charge.order_id: charge for charge in work}
    for event, reason in wanted:
        charge = charges.get(event.order_id)
        if charge is None or charge.state != Charge.State.SUCCEEDED:
            raise NothingTaken(f"{event.TYPE} of order {event.order_id}: no money was taken for it; look at its charge")
        work.give_back(charge, event.amount_minor, reason[:REASON_LENGTH])
    work.close()
