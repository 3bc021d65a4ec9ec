"""The calls themselves: what the gateway is asked for a row that was claimed, and what its answer says.

They run in threads of the gateway worker, without the database. From `ASKS_FROM` on, the calls of a step ask first
what the gateway knows; only if it has not done the step is the call made (again, with the same key).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import UUID

from django.conf import settings

from kafka_bridge.telemetry import activity, metrics, tracing
from payments import gateways
from payments.gateways import Answer, Declined, Gateway, PaymentStatus, RequiresAction, Succeeded, Unknown
from payments.models import Charge, Refund
from payments.state_machine.transitions import GatewayAnswer

CALLS = metrics.counter(
    "gateway_calls", "Steps of payments that the gateway was asked for", ["step", "outcome"], by="payments"
)
SECONDS = metrics.histogram("gateway_call_seconds", "How long the gateway took for a step", ["step"], by="payments")
State = Charge.State
GROUP = "payments"
"""Who asks the gateway."""
ASKS_FROM = 4


def carry_out(charge: Charge) -> GatewayAnswer | Unknown:
    """Take the step that this charge is at, as it was claimed; it blocks."""
    state = State(charge.state)
    with _counted(state.value) as outcome, _traced(state.value, charge, charge.caused_by):
        answer = _STEPS[state](charge, gateways.current())
        outcome.append("unknown" if isinstance(answer, Unknown) else _name_of(answer))
    return answer


def give_back(refund: Refund) -> Answer:
    """Have a refund made; it blocks."""
    charge = refund.charge
    with _counted("refund") as outcome, _traced("refund", charge, refund.caused_by or charge.caused_by):
        answer = _give_back(refund)
        outcome.append(type(answer).__name__.lower())
    return answer


def _give_back(refund: Refund) -> Answer:
    gateway, key, transaction_id = gateways.current(), str(refund.pk), refund.charge.transaction_id
    if refund.attempts >= ASKS_FROM:
        found = gateway.find_refund(key=key, transaction_id=transaction_id)
        if isinstance(found, Succeeded | Unknown):
            return found
    return gateway.refund(key=key, transaction_id=transaction_id, amount_minor=refund.amount_minor)


@contextmanager
def _counted(step: str) -> Iterator[list[str]]:
    """Count a step by its outcome, which the caller puts into the list; one that raised has none."""
    outcome, began = list[str](), time.perf_counter()
    try:
        yield outcome
    finally:
        seconds, ended = time.perf_counter() - began, outcome[0] if outcome else "error"
        CALLS.labels(step, ended).inc()
        SECONDS.labels(step).observe(seconds)
        error = "no answer" if ended in ("unknown", "error") else ""
        activity.current.note_use("gateway", error=error, answer_seconds=seconds)


def _traced(step: str, charge: Charge, cause: UUID | None) -> AbstractContextManager[None]:
    """A span of the call, in the story of its order."""
    parent = tracing.of_handling(GROUP, cause) if cause else tracing.NO_PARENT
    attributes: tracing.Attributes = {"bookrush.gateway.step": step, "bookrush.gateway.attempt": charge.attempts}
    return tracing.timed(f"gateway {step}", "CLIENT", charge.order_id, parent, attributes)


def _name_of(answer: GatewayAnswer) -> str:
    return answer.standing.name.lower() if answer.standing is not None else "not found"


def capture_key(charge: Charge) -> str:
    """The key of the one capture of this charge."""
    return f"{charge.pk}:capture"


def void_key(charge: Charge) -> str:
    """The key of the one void of this charge."""
    return f"{charge.pk}:void"


def _authorize(charge: Charge, gateway: Gateway) -> GatewayAnswer | Unknown:
    if charge.attempts >= ASKS_FROM:
        found = _look(charge, gateway)
        if isinstance(found, Unknown) or found.standing is not None:
            return found
    answer = gateway.authorize(
        key=str(charge.pk),
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        payment_method=charge.payment_method,
        return_url=f"{settings.SHOP_URL}/orders/{charge.order_id}/",
    )
    match answer:
        case Succeeded(transaction_id):
            return GatewayAnswer(standing=PaymentStatus.AUTHORIZED, transaction_id=transaction_id)
        case RequiresAction(transaction_id, url):
            return GatewayAnswer(standing=PaymentStatus.ACTION, transaction_id=transaction_id, url=url)
        case Declined(reason):
            return GatewayAnswer(standing=PaymentStatus.DECLINED, reason=reason)
        case Unknown():
            return answer


def _poll(charge: Charge, gateway: Gateway) -> GatewayAnswer | Unknown:
    found = _look(charge, gateway)
    if isinstance(found, GatewayAnswer) and found.standing is None:
        return Unknown("the gateway does not know the payment that it asked the buyer to confirm")
    return found


def _capture(charge: Charge, gateway: Gateway) -> GatewayAnswer | Unknown:
    if charge.attempts >= ASKS_FROM:
        found = _look(charge, gateway)
        if isinstance(found, Unknown) or found.standing is not PaymentStatus.AUTHORIZED:
            return _unknown_if_lost(found)
    answer = gateway.capture(
        key=capture_key(charge), transaction_id=charge.transaction_id, amount_minor=charge.amount_minor
    )
    match answer:
        case Succeeded(transaction_id):
            return GatewayAnswer(standing=PaymentStatus.CAPTURED, transaction_id=transaction_id)
        case Declined(reason):
            # It may have been captured on the gateway's own pages: its records count, and not why it refuses us.
            return _unknown_if_lost(_look(charge, gateway, reason=reason))
        case _:
            return _as_unknown(answer)


def _void(charge: Charge, gateway: Gateway) -> GatewayAnswer | Unknown:
    if charge.attempts >= ASKS_FROM:
        found = _look(charge, gateway)
        if isinstance(found, Unknown) or found.standing not in (PaymentStatus.AUTHORIZED, PaymentStatus.ACTION):
            return found
    answer = gateway.void(key=void_key(charge), transaction_id=charge.transaction_id)
    match answer:
        case Succeeded(transaction_id):
            return GatewayAnswer(standing=PaymentStatus.VOIDED, transaction_id=transaction_id)
        case Declined(reason):
            return _look(charge, gateway, reason=reason)
        case _:
            return _as_unknown(answer)


_STEPS: dict[State, Callable[[Charge, Gateway], GatewayAnswer | Unknown]] = {
    State.REQUESTED: _authorize,
    State.ACTION_REQUIRED: _poll,
    State.CAPTURING: _capture,
    State.VOIDING: _void,
}


def _look(charge: Charge, gateway: Gateway, *, reason: str = "") -> GatewayAnswer | Unknown:
    found = gateway.find(key=str(charge.pk), transaction_id=charge.transaction_id)
    return found if isinstance(found, Unknown) else GatewayAnswer.of_payment(found, reason=reason)


def _unknown_if_lost(found: GatewayAnswer | Unknown) -> GatewayAnswer | Unknown:
    """Of a payment that was authorized, "never heard of it" is no answer."""
    if isinstance(found, GatewayAnswer) and found.standing is None:
        return Unknown(f"the gateway does not know the payment that it has authorized ({found.reason})")
    return found


def _as_unknown(answer: Answer) -> Unknown:
    return answer if isinstance(answer, Unknown) else Unknown(f"{answer} makes no sense here")
