"""Whether a shop held: everything that must be so when all is back, each with its figure."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from django.conf import settings

from devtools.drills import event_log_check, watching
from devtools.drills.load import Bought, OrderLoad
from devtools.drills.plans import DrillPlan
from devtools.testing.processes import Shop
from kafka_bridge.monitoring import lag
from orders.cancel_reasons import CancelCode, CancelReason
from payments.gateways import PaymentStatus
from payments.sandbox.bank import Bank

# Mails, parcels and figures of the last orders follow within this time, and the timekeeper mends the gate.
REST_WITHIN_SECONDS = 60.0
# An order that waits nearly as long as its stock is held, or as it may take at all, may be given up.
_MARGIN_SECONDS = 90.0
_DECLINED = frozenset({"pm_declined"})


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that must hold: its figure, and what is wrong with it."""

    name: str
    figure: str
    problems: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """How it went. Moments are those of `time.monotonic()`."""

    away_at: float
    back_at: float
    drained_at: float | None
    """When every order of a buyer who had come by `back_at` had its end; None where that took too long."""
    process_ids: Mapping[str, int]
    """Of the roles, before anything was taken away."""
    dead_before: tuple[int, int, int]
    """What `dead_letters` found then."""

    @property
    def away_seconds(self) -> float:
        """For how long something was missing."""
        return self.back_at - self.away_at

    @property
    def drain_seconds(self) -> float | None:
        """How long the rest took; None where it took too long."""
        return None if self.drained_at is None else self.drained_at - self.back_at


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All findings."""

    plan: DrillPlan
    course: Timeline
    findings: Sequence[Finding]

    @property
    def problems(self) -> list[str]:
        """All that does not hold."""
        return [f"{finding.name}: {problem}" for finding in self.findings for problem in finding.problems]

    @property
    def has_held(self) -> bool:
        """Whether everything does."""
        return not self.problems


def reach(plan: DrillPlan, shop: Shop, crowd: OrderLoad, course: Timeline) -> Verdict:
    """Judge a shop to which nobody comes any more; waits a while until it is at rest."""
    bought = list(crowd.bought)
    orders = [each.order_id for each in bought]
    lag_finding = _of_lag()  # first, for it waits until all is read
    findings = [
        _of_orders(plan, crowd, course),
        _of_ends(plan, shop, bought),
        _of_drain(course, bought),
        _of_dead_letters(shop, course),
        _of_roles(shop, course),
        _of_log(shop, orders),
        _of_moves(shop, orders),
        lag_finding,
        _of_money(shop, orders),
        _of_audit(shop),
    ]
    return Verdict(plan=plan, course=course, findings=findings)


def _of_orders(plan: DrillPlan, crowd: OrderLoad, course: Timeline) -> Finding:
    problems, refused = [], len(crowd.refused_at)
    if crowd.failures:
        problems.append(f"{len(crowd.failures)} times the shop gave no clean answer, the first: {crowd.failures[0]}")
    if crowd.asking:
        problems.append(f"{crowd.asking} of {crowd.come} buyers could not order")
    if plan.drill.orders_meanwhile and refused:
        problems.append(f"{refused} times a buyer was told to come back")
    early = sum(moment < course.away_at for moment in crowd.refused_at)
    if early:
        problems.append(f"{early} times a buyer was told to come back before anything was taken away")
    if len({each.order_id for each in crowd.bought}) != len(crowd.bought):
        problems.append("two buyers have the same order")
    again = sum(each.tries > 1 for each in crowd.bought)
    figure = f"{len(crowd.bought):,} of {crowd.come:,}, {again:,} not at the first try ({refused:,} clean 503)"
    return Finding(name="orders accepted", figure=figure, problems=problems)


def _of_ends(plan: DrillPlan, shop: Shop, bought: Sequence[Bought]) -> Finding:
    """DELIVERED, or CANCELLED for a reason that the buyer's card or the length of the outage explains."""
    declined = [each.order_id for each in bought if each.card in _DECLINED]
    payers = [each.order_id for each in bought if each.card not in _DECLINED]
    allowed = {"DELIVERED", *_given_up(plan)}
    strange = {end: count for end, count in watching.ends(shop, payers).items() if end not in allowed}
    strange |= {
        end: count
        for end, count in watching.ends(shop, declined).items()
        if end not in allowed - {"DELIVERED"} and not _is_declined(end)
    }
    missing = watching.open_orders(shop, [each.order_id for each in bought])
    problems = [f"{count} orders ended as “{end}”" for end, count in strange.items()]
    if missing:
        problems.append(f"{missing} orders have no end")
    found = watching.ends(shop, [each.order_id for each in bought])
    figure = ", ".join(f"{count:,} {end}" for end, count in found.items()) or "none"
    return Finding(name="orders at their end", figure=figure, problems=problems)


def _is_declined(end: str) -> bool:
    reason = CancelReason.parse(end)
    return reason is not None and reason.code is CancelCode.PAYMENT_FAILED


def _given_up(plan: DrillPlan) -> set[str]:
    """Why orders may have been given up, for they waited long enough."""
    waited = plan.seconds + _MARGIN_SECONDS
    limits = {CancelCode.NOT_PAID: settings.HOLD_SECONDS, CancelCode.TIMED_OUT: settings.ORDER_DEADLINE_SECONDS}
    return {reason for reason, limit in limits.items() if waited >= limit}


def _of_drain(course: Timeline, bought: Sequence[Bought]) -> Finding:
    backlog = sum(each.came_at < course.back_at for each in bought)
    if course.drain_seconds is None:
        return Finding(name="drained", figure="no", problems=["orders of buyers who came meanwhile have no end yet"])
    return Finding(
        name="drained",
        figure=f"{course.drain_seconds:.1f} s after all was back ({backlog:,} orders since the beginning)",
    )


def dead_letters(shop: Shop) -> tuple[int, int, int]:
    """Dead letters that wait for a person, messages in dead letter topics, and messages parked."""
    [(stored, parked)] = shop.query(
        "SELECT (SELECT count(*) FROM kafka_bridge_deadletter WHERE state = 'parked'), "
        "(SELECT count(*) FROM kafka_bridge_parkedmessage)"
    )
    return int(stored), event_log_check.dead_letters(shop), int(parked)


def _of_dead_letters(shop: Shop, course: Timeline) -> Finding:
    found = [now - before for now, before in zip(dead_letters(shop), course.dead_before, strict=True)]
    figure = f"{found[0]} stored, {found[1]} in topics, {found[2]} messages parked"
    return Finding(name="dead letters", figure=figure, problems=[figure] if any(found) else [])


def _of_roles(shop: Shop, course: Timeline) -> Finding:
    now = shop.process_ids()
    ended = [role for role, pid in course.process_ids.items() if now.get(role) != pid]
    problems = [f"{role} ended; its log: {shop.log(role)}" for role in ended]
    before = len(course.process_ids)
    return Finding(name="roles at work", figure=f"{before - len(ended)} of {before}", problems=problems)


def _of_log(shop: Shop, orders: Sequence[str]) -> Finding:
    compared = event_log_check.compare(shop, orders)
    figure = f"{compared.events:,} events lie in Kafka as in the outbox, {compared.repeats:,} of them more than once"
    return Finding(name="in order", figure=figure, problems=compared.problems)


def _of_moves(shop: Shop, orders: Sequence[str]) -> Finding:
    illegal = watching.illegal_moves(shop, orders)
    return Finding(name="moves of orders", figure=f"{len(illegal)} illegal", problems=illegal[:3])


def _of_lag() -> Finding:
    """Asked until there is none."""
    behind: list[lag.PartitionLag] = []

    def is_read() -> bool:
        nonlocal behind
        behind = [row for row in lag.read_lag(with_age=False) if row.messages]
        return not behind

    try:
        _soon(is_read)
    except KafkaException as error:
        return Finding(name="left to read", figure="unknown", problems=[f"Kafka does not answer: {error}"])
    problems = [f"{row.group} is {row.messages} behind in {row.topic}[{row.partition}]" for row in behind[:3]]
    return Finding(name="left to read", figure=f"{sum(row.messages for row in behind)} messages", problems=problems)


def _of_money(shop: Shop, orders: Sequence[str]) -> Finding:
    """By the gateway's own books: one capture for each order that was delivered, nothing kept of the others."""
    bank = Bank(Path(shop.environment["SANDBOX_LEDGER_PATH"]))
    try:
        payments, entries = bank.statement(), bank.entries()
    finally:
        bank.close()
    rows = shop.query(
        "SELECT c.id::text, o.id::text, o.status, o.total_minor FROM orders_order o "
        "LEFT JOIN payments_charge c ON c.order_id = o.id WHERE o.id = ANY(%s::uuid[])",
        list(orders),
    )
    order_of = {charge: order for charge, order, _, _ in rows if charge}
    captures = Counter(entry.transaction_id for entry in entries if entry.kind == "capture" and not entry.declined)
    taken, kept = Counter[str](), Counter[str]()
    for payment in payments:
        if (order := order_of.get(payment.key)) is not None:
            taken[order] += captures[payment.transaction_id]
            kept[order] += payment.captured_minor - payment.refunded_minor
    open_ = [
        order_of[payment.key]
        for payment in payments
        if payment.key in order_of and payment.standing in (PaymentStatus.ACTION, PaymentStatus.AUTHORIZED)
    ]
    due = {order: total if status != "CANCELLED" else 0 for _, order, status, total in rows}
    delivered = [order for _, order, status, _ in rows if status == "DELIVERED"]
    problems = [
        *(f"{order} was charged {count} times" for order, count in taken.items() if count > 1),
        *(f"{order} was not charged" for order in delivered if taken[order] != 1),
        *(
            f"the gateway keeps {kept[order]} of {order}, not {total}"
            for order, total in due.items()
            if kept[order] != total
        ),
        *(f"the payment of {order} is open" for order in open_),
    ]
    return Finding(
        name="captures",
        figure=f"{sum(taken.values()):,} for {len(delivered):,} delivered orders",
        problems=problems[:3],
    )


def _of_audit(shop: Shop) -> Finding:
    """Asked until it is clean."""
    said = ""

    def is_clean() -> bool:
        nonlocal said
        try:
            shop.manage("audit", "--grace", "0")
        except AssertionError as error:
            said = str(error)
            return False
        said = ""
        return True

    _soon(is_clean)
    return Finding(
        name="the audit", figure="not clean" if said else "clean, without any grace", problems=[said] if said else []
    )


def _soon(condition: Callable[[], bool]) -> None:
    """Ask until it is so, for a while."""
    deadline = time.monotonic() + REST_WITHIN_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.5)
