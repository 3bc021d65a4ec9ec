"""What a charge makes of what the gateway says. Nothing else decides where a charge goes next.

| it was          | requires action | authorized  | captured    | voided    | declined  | no such payment |
|-----------------|-----------------|-------------|-------------|-----------|-----------|-----------------|
| requested       | action required | authorized  | succeeded   | failed    | failed    | requested       |
| action required | action required | authorized  | succeeded   | failed    | failed    | action required |
| capturing       | voiding         | voiding     | succeeded   | failed    | failed    | capturing       |
| voiding         | voiding         | voiding     | succeeded   | cancelled | cancelled | cancelled       |

A charge that is *authorized* asks for nothing by itself: the moment a worker takes it, its capture has begun
(`ON_CLAIM`), and from there on nobody can bar it any more.

The columns are how the payment stands at the gateway after the call. A charge is *capturing* and only authorized where
the gateway refuses the capture: then it is let go. Three things turn an answer:

- The order is over (`cancel_requested`): what would be authorized or would wait for the buyer is voided instead, and
  what was voided is cancelled. What was captured goes back.
- The buyer's time is over (`is_late`): a payment that still waits for them is voided.
- The answer is unknown: the charge stays where it is, and the same is asked again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from payments.gateways import Payment, PaymentStatus, Unknown
from payments.models import Charge

State = Charge.State
NOT_IN_TIME = "not confirmed in time"
WITHDRAWN = "the payment was withdrawn at the bank"


@dataclass(frozen=True, kw_only=True)
class GatewayAnswer:
    """How the payment of a charge stands at the gateway."""

    standing: PaymentStatus | None
    """None: the gateway knows of no such payment."""
    transaction_id: str = ""
    url: str = ""
    """Where the buyer confirms it."""
    reason: str = ""
    """Why it, or what was asked just now, was declined."""

    @classmethod
    def of_payment(cls, payment: Payment | None, *, reason: str = "") -> "GatewayAnswer":
        """By the gateway's books; `reason` is what it said when it declined just now."""
        if payment is None:
            return cls(standing=None, reason=reason)
        return cls(
            standing=payment.standing,
            transaction_id=payment.transaction_id,
            url=payment.url,
            reason=payment.reason or reason,
        )


ON_CLAIM: Mapping[State, State] = {State.AUTHORIZED: State.CAPTURING}
"""Where a charge goes when a worker takes it to ask the gateway; in any other state it stays."""
_COLUMNS = (
    PaymentStatus.ACTION,
    PaymentStatus.AUTHORIZED,
    PaymentStatus.CAPTURED,
    PaymentStatus.VOIDED,
    PaymentStatus.DECLINED,
    None,
)
_ROWS: Mapping[State, tuple[State, ...]] = {
    State.REQUESTED: (
        State.ACTION_REQUIRED, State.AUTHORIZED, State.SUCCEEDED, State.FAILED, State.FAILED, State.REQUESTED,
    ),
    State.ACTION_REQUIRED: (
        State.ACTION_REQUIRED, State.AUTHORIZED, State.SUCCEEDED, State.FAILED, State.FAILED, State.ACTION_REQUIRED,
    ),
    State.CAPTURING: (
        State.VOIDING, State.VOIDING, State.SUCCEEDED, State.FAILED, State.FAILED, State.CAPTURING,
    ),
    State.VOIDING: (
        State.VOIDING, State.VOIDING, State.SUCCEEDED, State.CANCELLED, State.CANCELLED, State.CANCELLED,
    ),
}  # fmt: skip
NEXT: Mapping[tuple[State, PaymentStatus | None], State] = {
    (state, standing): following
    for state, row in _ROWS.items()
    for standing, following in zip(_COLUMNS, row, strict=True)
}


def next_state(charge: Charge, answer: GatewayAnswer | Unknown, *, is_late: bool = False) -> State:
    """Where this charge, as it is now, goes with this answer. `is_late`: the gateway was asked after `act_by`.

    Raises:
        KeyError: a charge in this state asks for nothing.
    """
    state = State(charge.state)
    if isinstance(answer, Unknown):
        return state
    following = NEXT[state, answer.standing]
    if charge.cancel_requested:
        return _when_it_is_over(following, answer)
    if is_late and following is State.ACTION_REQUIRED and state is State.ACTION_REQUIRED:
        return State.VOIDING
    return following


def _when_it_is_over(following: State, answer: GatewayAnswer) -> State:
    if following in (State.ACTION_REQUIRED, State.AUTHORIZED):
        return State.VOIDING
    if following is State.FAILED and answer.standing is PaymentStatus.VOIDED:
        return State.CANCELLED
    return following
