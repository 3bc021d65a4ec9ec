"""Compares our charges and refunds with the gateway's own books.

The gateway is asked for its recent payments. It gets little time to answer, and without it the rest of the audit
continues. What is under way changes from one comparison to the next, so only differences that stay the same count.
"""

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

import money
from payments import gateways, reviews
from payments.gateways import Payment, PaymentStatus, Unknown
from payments.models import Charge, Refund, Review
from shop.audit import external_checks
from shop.audit.invariants import Rule
from shop.audit.report import Finding

BOOKS = Rule(
    name="our money and the gateway's",
    sentence="The gateway has captured and refunded exactly what our tables say.",
    remedy="The timekeeper opens a review for each difference. Its page in the admin (Payments, Needs a person) says "
    "what to do.",
)
SPAN, MOST = timedelta(days=1), 5_000
"""How far back, and how many charges at most, are compared."""
# The gateway's clock and ours may differ by this much.
_CLOCK_SKEW = timedelta(minutes=5)
_ATTEMPTS, _RETRY_SECONDS = 5, 0.5
_TIMEOUT_SECONDS = 4.0
_OLD_REVIEWS = 50
_OVER = (Charge.State.FAILED, Charge.State.CANCELLED)


class NoStatement(Exception):
    """The gateway's books could not be read in time; the message says why. Try again later."""


@dataclass(frozen=True, kw_only=True)
class GatewayDifference:
    """A payment about which the gateway's books and ours differ."""

    kind: Review.Kind
    subject: str
    """The charge's id; for an orphan payment, which belongs to no charge, the gateway's id."""
    order_id: UUID | None = None
    detail: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The result of a comparison."""

    differences: tuple[GatewayDifference, ...] = ()
    compared: frozenset[str] = field(default_factory=frozenset)
    """Subjects (see `GatewayDifference`) of everything that was compared."""
    note: str = ""
    """Why nothing could be compared."""


def compare(*, grace_seconds: float) -> Comparison:
    """Compare the books as they are now. Not inside a transaction, which would see ours as they were.

    A difference that staff closed with a note does not count as long as it stays the same.
    """
    until = time.monotonic() + _TIMEOUT_SECONDS
    try:
        found, subjects = _compare_once(grace_seconds, until)
        for _ in range(_ATTEMPTS - 1):
            if not found:
                break
            time.sleep(_RETRY_SECONDS)
            again, _ = _compare_once(grace_seconds, until + _ATTEMPTS * _RETRY_SECONDS)
            found &= again
    except NoStatement as error:
        return Comparison(note=f"The gateway could not be asked: {error}")
    lasting = found - set(_accepted(found))
    return Comparison(differences=tuple(sorted(lasting, key=lambda d: d.detail)), compared=subjects)


def finding(comparison: Comparison) -> Finding:
    """The comparison as a finding of the audit."""
    return external_checks.finding(
        BOOKS, (difference.detail for difference in comparison.differences), note=comparison.note
    )


def keep_reviews(comparison: Comparison) -> None:
    """Open a review for each difference, and close those whose difference is gone; one transaction."""
    found = {(difference.kind, difference.subject) for difference in comparison.differences}
    with transaction.atomic(durable=True):
        charges = Charge.objects.in_bulk([UUID(d.subject) for d in comparison.differences if d.order_id])
        for difference in comparison.differences:
            reviews.open_review(
                kind=difference.kind,
                subject=difference.subject,
                detail=difference.detail,
                charge=charges.get(UUID(difference.subject)) if difference.order_id else None,
                order_id=difference.order_id,
            )
        for kind, subject in _open_reviews().values_list("kind", "subject"):
            if subject in comparison.compared and (kind, subject) not in found:
                reviews.settle(kind=kind, subject=subject, note="the gateway's books and ours agree")


# -- One comparison -------------------------------------------------------------------------------------
def _compare_once(grace_seconds: float, until: float) -> tuple[set[GatewayDifference], frozenset[str]]:
    """The differences right now, and the subjects of everything that was compared.

    Raises:
        NoStatement: see there.
    """
    recent = _recent()
    since = max(timezone.now() - SPAN, min(recent.values(), default=timezone.now()))
    payments = {payment.key: payment for payment in _statement(since - _CLOCK_SKEW, until)}
    wanted = {pk for pk, created_at in recent.items() if created_at >= since}
    older = _disputed() - wanted
    wanted |= older
    for pk in older:
        payments |= _found(pk)
    # Ours are read last: what the gateway did before, we have stored since, or will by the next comparison.
    charges = _charges(wanted | {known for key in payments if (known := _as_uuid(key))})
    back = _refunds(charges)
    quiet = timezone.now() - timedelta(seconds=grace_seconds)
    compared = [charge for charge in charges.values() if (charge.settled_at or charge.created_at) <= quiet]
    found: set[GatewayDifference] = set()
    for charge in compared:
        found |= set(_between(charge, payments.get(str(charge.pk)), *back.get(charge.pk, (0, 0))))
    strangers = [payment for key, payment in payments.items() if _as_uuid(key) not in charges]
    found |= {_orphan(payment) for payment in strangers if _is_open(payment) or _kept_minor(payment)}
    looked_at = {str(charge.pk) for charge in compared} | {payment.transaction_id for payment in payments.values()}
    return found, frozenset(looked_at)


def _recent() -> dict[UUID, datetime]:
    """The newest charges and their creation times, by the index of the key, since ids are time-ordered."""
    return dict(Charge.objects.order_by("-id").values_list("pk", "created_at")[:MOST])


def _disputed() -> set[UUID]:
    """Charges with an open review about a difference, however old they are."""
    mismatches = _open_reviews().filter(kind=Review.Kind.MISMATCH).order_by("-opened_at")
    return {pk for pk in mismatches.values_list("charge", flat=True)[:_OLD_REVIEWS] if pk}


def _open_reviews() -> QuerySet[Review]:
    return Review.objects.filter(closed_at=None, kind__in=(Review.Kind.MISMATCH, Review.Kind.ORPHAN_PAYMENT))


def _accepted(found: Iterable[GatewayDifference]) -> Iterator[GatewayDifference]:
    """Differences that staff closed with a note, and that have not changed since."""
    by_subject = {difference.subject: difference for difference in found}
    closed = Review.objects.filter(subject__in=by_subject, closed_at__isnull=False).exclude(closed_by="")
    for kind, subject, detail in closed.values_list("kind", "subject", "detail"):
        difference = by_subject[subject]
        if (difference.kind, difference.detail) == (kind, detail):
            yield difference


def _charges(ids: Iterable[UUID]) -> dict[UUID, Charge]:
    return {charge.pk: charge for charge in Charge.objects.filter(pk__in=list(ids))}


def _refunds(charges: Mapping[UUID, Charge]) -> dict[UUID, tuple[int, int]]:
    """By charge, what is refunded and what is still to be refunded, in minor units."""
    through = Sum("amount_minor", filter=Q(state=Refund.State.SUCCEEDED), default=0)
    asked = Sum("amount_minor", filter=Q(state=Refund.State.REQUESTED), default=0)
    rows = Refund.objects.filter(charge__in=list(charges)).order_by().values("charge")
    sums = rows.annotate(back=through, asked=asked).values_list("charge", "back", "asked")
    return {charge_id: (back_minor, asked_minor) for charge_id, back_minor, asked_minor in sums}


# -- The gateway -------------------------------------------------------------------------------------------
def _statement(since: datetime, until: float) -> Sequence[Payment]:
    """The gateway's payments, read in a separate thread, so that a gateway that hangs cannot block the audit.

    Raises:
        NoStatement: see there.
    """
    answer: queue.SimpleQueue[list[Payment] | Exception] = queue.SimpleQueue()

    def read() -> None:
        try:
            answer.put(list(gateways.current().statement(since=since)))
        except Exception as error:
            answer.put(error)

    threading.Thread(target=read, name="gateway-statement", daemon=True).start()
    try:
        said = answer.get(timeout=max(0.1, until - time.monotonic()))
    except queue.Empty:
        raise NoStatement("no answer in time") from None
    if isinstance(said, OSError):
        raise NoStatement(str(said) or type(said).__name__) from said
    if isinstance(said, Exception):
        raise said
    return said


def _found(pk: UUID) -> dict[str, Payment]:
    """The payment of an older charge.

    Raises:
        NoStatement: see there.
    """
    answer = gateways.current().find(key=str(pk))
    if isinstance(answer, Unknown):
        raise NoStatement(answer.detail)
    return {} if answer is None else {str(pk): answer}


# -- What differs ------------------------------------------------------------------------------------------
def _between(charge: Charge, payment: Payment | None, back_minor: int, asked_minor: int) -> Iterator[GatewayDifference]:
    """The difference between a charge and its payment; while a charge is under way, only what can never be right."""
    wrong = _wrong(charge, payment, back_minor, asked_minor)
    if wrong:
        detail = f"charge {charge.pk} of order {charge.order_id}: {wrong}"
        yield GatewayDifference(
            kind=Review.Kind.MISMATCH, subject=str(charge.pk), order_id=charge.order_id, detail=detail[:500]
        )


def _wrong(charge: Charge, payment: Payment | None, back_minor: int, asked_minor: int) -> str:
    if payment is None:
        taken = money.format_plain(charge.amount_minor, charge.currency)
        return f"{taken} captured, but the gateway knows no such payment" if _is_taken(charge) else ""
    if payment.currency != charge.currency and charge.currency:
        return f"in {charge.currency}, but the gateway has it in {payment.currency}"
    if _is_taken(charge):
        return _wrong_if_taken(charge, payment, back_minor, asked_minor)
    if payment.amount_minor != charge.amount_minor and charge.state not in _OVER:
        return f"{_in(charge.amount_minor, charge)}, but the gateway has {_in(payment.amount_minor, charge)}"
    if charge.state in _OVER and (kept := _kept_minor(payment)):
        captured = money.format_plain(kept, payment.currency)
        return f"{charge.state}, but the gateway has captured {captured} and not given it back"
    if charge.state in _OVER and _is_open(payment):
        open_ = money.format_plain(payment.amount_minor, payment.currency)
        return f"{charge.state}, but {open_} are still set aside there"
    return ""


def _wrong_if_taken(charge: Charge, payment: Payment, back_minor: int, asked_minor: int) -> str:
    if payment.captured_minor != charge.amount_minor:
        theirs = _in(payment.captured_minor, charge)
        return f"{_in(charge.amount_minor, charge)} captured, but {theirs} by the gateway's books"
    if not back_minor <= payment.refunded_minor <= back_minor + asked_minor:
        theirs = _in(payment.refunded_minor, charge)
        return f"{_in(back_minor, charge)} given back, but {theirs} by the gateway's books"
    if payment.transaction_id != charge.transaction_id:
        return f"payment {charge.transaction_id}, but the gateway calls it {payment.transaction_id}"
    return ""


def _orphan(payment: Payment) -> GatewayDifference:
    kept = _kept_minor(payment)
    amount, what = (kept, "captured") if kept else (payment.amount_minor, "set aside")
    name, stands = payment.transaction_id, money.format_plain(amount, payment.currency)
    detail = f"payment {name} with the key {payment.key}: {stands} {what}, and no charge of ours"
    return GatewayDifference(kind=Review.Kind.ORPHAN_PAYMENT, subject=name, detail=detail[:500])


def _is_taken(charge: Charge) -> bool:
    return charge.state == Charge.State.SUCCEEDED


def _is_open(payment: Payment) -> bool:
    """Whether money is authorized for it, or may soon be."""
    return payment.standing in (PaymentStatus.ACTION, PaymentStatus.AUTHORIZED)


def _kept_minor(payment: Payment) -> int:
    return payment.captured_minor - payment.refunded_minor


def _in(amount_minor: int, charge: Charge) -> str:
    return money.format_plain(amount_minor, charge.currency)


def _as_uuid(key: str) -> UUID | None:
    try:
        return UUID(key)
    except ValueError:
        return None
