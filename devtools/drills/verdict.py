"""Whether a shop held: everything that must be true after the outage, each with its figure."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from django.conf import settings

from devtools.drills import event_log_check, shop_state
from devtools.drills.load import Bought, OrderLoad
from devtools.drills.plans import DrillPlan
from devtools.local.roles import WEB
from devtools.testing.processes import Shop
from kafka_bridge.monitoring.groups import lag
from orders.cancel_reasons import CancelCode, CancelReason
from payments.gateways import PaymentStatus
from payments.sandbox.bank import Bank

# Within this time the last orders' mails, parcels and sales figures follow, and the stock counters are in step.
REST_WITHIN_SECONDS = 60.0
# An order that waits nearly as long as its hold or its deadline may be cancelled.
_MARGIN_SECONDS = 90.0
_DECLINED = frozenset({"pm_declined"})


@dataclass(frozen=True, kw_only=True)
class DrillFinding:
    """One requirement: its figure, and what is wrong."""

    name: str
    figure: str
    problems: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """When the outage began and ended. Times are those of `time.monotonic()`."""

    away_at: float
    back_at: float
    drained_at: float | None
    """When every order of a buyer who came before `back_at` was complete; None if that took too long."""
    process_ids: Mapping[str, int]
    """Process ids of the roles before the outage, or after it where the drill killed them."""
    dead_before: tuple[int, int, int]
    """What `dead_letters` returned before the outage."""

    @property
    def away_seconds(self) -> float:
        """How long the outage lasted."""
        return self.back_at - self.away_at

    @property
    def drain_seconds(self) -> float | None:
        """How long the backlog took; None if it took too long."""
        return None if self.drained_at is None else self.drained_at - self.back_at


@dataclass(frozen=True, kw_only=True)
class DrillVerdict:
    """All findings."""

    plan: DrillPlan
    timeline: Timeline
    findings: Sequence[DrillFinding]

    @property
    def problems(self) -> list[str]:
        """Everything that does not hold."""
        return [f"{finding.name}: {problem}" for finding in self.findings for problem in finding.problems]

    @property
    def has_held(self) -> bool:
        """Whether everything holds."""
        return not self.problems


def judge(plan: DrillPlan, shop: Shop, load: OrderLoad, timeline: Timeline) -> DrillVerdict:
    """Judge a shop without new buyers; waits a while until it is at rest."""
    bought = list(load.bought)
    orders = [each.order_id for each in bought]
    lag_finding = _check_lag()  # first, because it waits until everything is read
    findings = [
        _check_orders(plan, load, timeline),
        _check_ends(timeline, shop, bought),
        _check_drain(timeline, bought),
        _check_dead_letters(shop, timeline),
        _check_roles(shop, timeline),
        _check_log(shop, orders),
        _check_moves(shop, orders),
        lag_finding,
        _check_money(shop, orders),
        _check_audit(shop),
    ]
    return DrillVerdict(plan=plan, timeline=timeline, findings=findings)


def _check_orders(plan: DrillPlan, load: OrderLoad, timeline: Timeline) -> DrillFinding:
    problems, refused = [], len(load.refused_at)
    if load.failures:
        problems.append(f"{len(load.failures)} times the shop gave no clean answer, the first: {load.failures[0]}")
    if load.asking:
        problems.append(f"{load.asking} of {load.come} buyers could not order")
    if plan.drill.orders_meanwhile and refused:
        problems.append(f"{refused} times a buyer was told to come back")
    if load.unanswered and not plan.drill.may_kill(WEB):
        problems.append(f"{len(load.unanswered)} times there was no answer, the first: {load.unanswered[0]}")
    early = sum(at < timeline.away_at for at in load.refused_at)
    if early:
        problems.append(f"{early} times a buyer was told to come back before the outage")
    if len({each.order_id for each in load.bought}) != len(load.bought):
        problems.append("two buyers have the same order")
    again = sum(each.tries > 1 for each in load.bought)
    figure = (
        f"{len(load.bought):,} of {load.come:,}, {again:,} after a retry "
        f"({refused:,} clean 503, {len(load.unanswered):,} without an answer)"
    )
    return DrillFinding(name="orders accepted", figure=figure, problems=problems)


def _check_ends(timeline: Timeline, shop: Shop, bought: Sequence[Bought]) -> DrillFinding:
    """DELIVERED, or CANCELLED for a reason that the buyer's card or the length of the outage explains."""
    declined = [each.order_id for each in bought if each.card in _DECLINED]
    payers = [each.order_id for each in bought if each.card not in _DECLINED]
    allowed = {"DELIVERED", *_given_up(timeline.away_seconds)}
    strange = {end: count for end, count in shop_state.ends(shop, payers).items() if end not in allowed}
    strange |= {
        end: count
        for end, count in shop_state.ends(shop, declined).items()
        if end not in allowed - {"DELIVERED"} and not _is_declined(end)
    }
    missing = shop_state.open_orders(shop, [each.order_id for each in bought])
    problems = [f"{count} orders ended as “{end}”" for end, count in strange.items()]
    if missing:
        problems.append(f"{missing} orders are not complete")
    found = shop_state.ends(shop, [each.order_id for each in bought])
    figure = ", ".join(f"{count:,} {end}" for end, count in found.items()) or "none"
    return DrillFinding(name="orders complete", figure=figure, problems=problems)


def _is_declined(end: str) -> bool:
    reason = CancelReason.parse(end)
    return reason is not None and reason.code is CancelCode.PAYMENT_FAILED


def _given_up(away_seconds: float) -> set[str]:
    """The reasons for which orders may be cancelled after an outage of this length."""
    waited = away_seconds + _MARGIN_SECONDS
    limits = {CancelCode.NOT_PAID: settings.HOLD_SECONDS, CancelCode.TIMED_OUT: settings.ORDER_DEADLINE_SECONDS}
    return {reason for reason, limit in limits.items() if waited >= limit}


def _check_drain(timeline: Timeline, bought: Sequence[Bought]) -> DrillFinding:
    backlog = sum(each.came_at < timeline.back_at for each in bought)
    if timeline.drain_seconds is None:
        return DrillFinding(name="drained", figure="no", problems=["orders from the outage are not complete"])
    return DrillFinding(
        name="drained",
        figure=f"{timeline.drain_seconds:.1f} s after the outage ({backlog:,} orders since the beginning)",
    )


def dead_letters(shop: Shop) -> tuple[int, int, int]:
    """The number of stored dead letters and refused messages, of messages in dead letter topics, and of parked ones."""
    [(stored, parked)] = shop.query(
        "SELECT (SELECT count(*) FROM kafka_bridge_deadletter WHERE state = 'parked') + "
        "(SELECT count(*) FROM kafka_bridge_refusedmessage WHERE closed_at IS NULL), "
        "(SELECT count(*) FROM kafka_bridge_parkedmessage)"
    )
    return int(stored), event_log_check.dead_letters(shop), int(parked)


def _check_dead_letters(shop: Shop, timeline: Timeline) -> DrillFinding:
    found = [now - before for now, before in zip(dead_letters(shop), timeline.dead_before, strict=True)]
    figure = f"{found[0]} stored, {found[1]} in topics, {found[2]} messages parked"
    return DrillFinding(name="dead letters", figure=figure, problems=[figure] if any(found) else [])


def _check_roles(shop: Shop, timeline: Timeline) -> DrillFinding:
    now = shop.process_ids()
    ended = [role for role, pid in timeline.process_ids.items() if now.get(role) != pid]
    problems = [f"{role} ended; its log: {shop.log(role)}" for role in ended]
    before = len(timeline.process_ids)
    return DrillFinding(name="roles at work", figure=f"{before - len(ended)} of {before}", problems=problems)


def _check_log(shop: Shop, orders: Sequence[str]) -> DrillFinding:
    compared = event_log_check.compare(shop, orders)
    figure = f"{compared.events:,} events are in Kafka as in the outbox, {compared.repeats:,} of them more than once"
    return DrillFinding(name="in order", figure=figure, problems=compared.problems)


def _check_moves(shop: Shop, orders: Sequence[str]) -> DrillFinding:
    illegal = shop_state.illegal_moves(shop, orders)
    return DrillFinding(name="moves of orders", figure=f"{len(illegal)} illegal", problems=illegal[:3])


def _check_lag() -> DrillFinding:
    """Read until there is none, for a while."""
    behind: list[lag.PartitionLag] = []

    def is_read() -> bool:
        nonlocal behind
        behind = [row for row in lag.read_lag(with_age=False) if row.messages]
        return not behind

    try:
        _wait_until(is_read)
    except KafkaException as error:
        return DrillFinding(name="left to read", figure="unknown", problems=[f"Kafka does not answer: {error}"])
    problems = [f"{row.group} is {row.messages} behind in {row.topic}[{row.partition}]" for row in behind[:3]]
    return DrillFinding(
        name="left to read", figure=f"{sum(row.messages for row in behind)} messages", problems=problems
    )


def _check_money(shop: Shop, orders: Sequence[str]) -> DrillFinding:
    """By the gateway's own books: one capture per delivered order, nothing kept of the others."""
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
    return DrillFinding(
        name="captures",
        figure=f"{sum(taken.values()):,} for {len(delivered):,} delivered orders",
        problems=problems[:3],
    )


def _check_audit(shop: Shop) -> DrillFinding:
    """Run until it is clean, for a while."""
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

    _wait_until(is_clean)
    return DrillFinding(
        name="the audit",
        figure="not clean" if said else "clean, without a grace period",
        problems=[said] if said else [],
    )


def _wait_until(condition: Callable[[], bool]) -> None:
    """Check until the condition holds, for a while."""
    deadline = time.monotonic() + REST_WITHIN_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.5)
