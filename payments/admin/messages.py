"""How charges and refunds are told on the pages of staff: what they wait for, in sentences; sums, states and links."""

from datetime import datetime
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

import money
from kafka_bridge import admin as facts
from payments.models import Charge, Refund

State = Charge.State
CHARGE_COLOURS = {
    State.REQUESTED: "warning",
    State.ACTION_REQUIRED: "info",
    State.AUTHORIZED: "info",
    State.CAPTURING: "warning",
    State.SUCCEEDED: "success",
    State.FAILED: "danger",
    State.VOIDING: "warning",
    State.CANCELLED: "",
}
REFUND_COLOURS = {Refund.State.REQUESTED: "warning", Refund.State.SUCCEEDED: "success"}
_ASKED_FOR = {
    State.REQUESTED: "to authorize it",
    State.ACTION_REQUIRED: "whether the buyer has confirmed it",
    State.AUTHORIZED: "to capture it",
    State.CAPTURING: "to capture it",
    State.VOIDING: "to let go of what is set aside",
}
"""What the gateway is asked next, by the charge's state."""


def order_page(order_id: UUID) -> str:
    """Where the order of a charge is shown."""
    return reverse("admin:orders_order_change", args=[order_id])


def nowrap(words: str) -> str:
    """Words that stay on one line."""
    return format_html('<span class="br-nowrap">{}</span>', words)


def sum_of(amount_minor: int | None, currency: str) -> str:
    """In major units, with the currency; "" for None."""
    return "" if amount_minor is None else nowrap(money.format_with_code(amount_minor, currency))


def waits(charge: Charge) -> str:
    """What an open charge waits for, in a sentence or two; "" for one that is over."""
    state = State(charge.state)
    if state not in Charge.OPEN:
        return ""
    if state is State.ACTION_REQUIRED:
        until = f" until {_clock(charge.act_by)}" if charge.act_by else ""
        sentence = f"The buyer has to confirm the payment at the bank{until}."
    elif charge.unknown_since:
        sentence = f"Since {_clock(charge.unknown_since)} nobody knows whether the gateway did what it was asked."
    else:
        sentence = _PROGRESS[state]
    return " ".join(filter(None, (sentence, asked_next(charge), _if_it_is_barred(charge))))


_PROGRESS = {
    State.REQUESTED: "The money has not been set aside yet.",
    State.AUTHORIZED: "The money is set aside on the buyer's card, and not captured yet.",
    State.CAPTURING: "The money is being captured.",
    State.VOIDING: "The charge is barred; what is set aside on the buyer's card is let go.",
}


def asked_next(charge: Charge) -> str:
    """What the gateway is asked next, and when; "" for a charge that is over."""
    asked = _ASKED_FOR.get(State(charge.state))
    if asked is None:
        return ""
    return f"The gateway is asked {asked} {_when(charge.next_attempt_at)}{_after_calls(charge)}."


def refund_waits(refund: Refund) -> str:
    """What a refund that is not through waits for, in a sentence."""
    what = f"to give {money.format_with_code(refund.amount_minor, refund.charge.currency)} back"
    return f"The gateway is asked {what} {_when(refund.next_attempt_at)}{_after_calls(refund)}."


def state_label(charge: Charge) -> str:
    """How far the charge is, as a coloured word."""
    return facts.label(charge.get_state_display(), CHARGE_COLOURS[State(charge.state)])


def _when(at: datetime) -> str:
    return "now" if at <= timezone.now() else f"at {_clock(at)}"


def _after_calls(row: Charge | Refund) -> str:
    if not row.attempts:
        return ""
    calls = "1 call" if row.attempts == 1 else f"{row.attempts} calls"
    return f", after {calls} ({row.last_error})" if row.last_error else f", after {calls}"


def _if_it_is_barred(charge: Charge) -> str:
    match State(charge.state):
        case State.CAPTURING if charge.cancel_requested:
            return "The order is over, so what gets captured goes back at once."
        case State.REQUESTED | State.ACTION_REQUIRED if charge.cancel_requested:
            return "The order is over, so what gets set aside is let go."
    return ""


def _clock(at: datetime) -> str:
    """The time of day; with the day, if that is another one."""
    local = timezone.localtime(at)
    return f"{local:%H:%M:%S}" if local.date() == timezone.localdate() else f"{local.day} {local:%b, %H:%M}"
