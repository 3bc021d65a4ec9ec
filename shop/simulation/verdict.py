"""Whether the sale was exact: what was sold, to whom, and what the others were told, by the shop's own tables."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from inventory.models import Stock
from orders.cancel_reasons import CancelCode
from shop import audit
from shop.simulation import sale_state
from shop.simulation.buyers import SalePlan
from shop.simulation.load import Clicks
from shop.simulation.sale_fixture import SaleFixture
from shop.simulation.sale_state import CancelledOrder, SaleState

# In a sale whose buyers all pay at once and respect the limit, no order may be cancelled for these reasons.
_FAILURES_OF_THE_SHOP = frozenset(
    {CancelCode.OVER_LIMIT, CancelCode.NOT_PAID, CancelCode.TOO_MANY_UNPAID, CancelCode.TIMED_OUT}
)


@dataclass(frozen=True, kw_only=True)
class BookCount:
    """One book at the end of the sale, in units."""

    sku: str
    set_aside: int
    held: int
    sold: int
    by_orders: int
    """In confirmed orders."""

    @property
    def free(self) -> int:
        """Units that are neither held nor sold."""
        return self.set_aside - self.held - self.sold


@dataclass(frozen=True, kw_only=True)
class SaleVerdict:
    """The result of the sale, and everything that is wrong with it."""

    plan: SalePlan
    sale: str
    seconds: float
    clicks: Clicks
    state: SaleState
    counts: Sequence[BookCount]
    audit: audit.AuditReport
    problems: Sequence[str]

    @property
    def is_exact(self) -> bool:
        """Whether every invariant holds."""
        return not self.problems

    @property
    def units_sold(self) -> int:
        """Units of all books in confirmed orders."""
        return sum(count.by_orders for count in self.counts)

    @property
    def units_left(self) -> int:
        """Units of all books that nobody has, once the shop has come to rest: refused orders give theirs back late."""
        return sum(count.free for count in self.counts)

    @property
    def oversold(self) -> int:
        """Units in confirmed orders beyond those that were set aside."""
        return sum(max(0, count.by_orders - self.plan.units) for count in self.counts)


def judge(
    *, plan: SalePlan, fixture: SaleFixture, clicks: Clicks, state: SaleState, report: audit.AuditReport, seconds: float
) -> SaleVerdict:
    """Judge a sale in which every order has ended and the shop has come to rest."""
    counts = counts_of(fixture)
    problems = [
        *_check_clicks(plan, clicks, state),
        *check_orders(state),
        *(problem for count in counts for problem in check_count(count, units=plan.units)),
        *check_refusals(
            sale_state.cancelled_orders(fixture),
            counts,
            turned_away=[[fixture.skus[number] for number in buyer.wants] for buyer in clicks.turned_away],
        ),
        *(f"the audit: {finding.name}: {finding.count} wrong" for finding in report.findings if finding.count),
    ]
    return SaleVerdict(
        plan=plan,
        sale=fixture.sale.name,
        seconds=seconds,
        clicks=clicks,
        state=state,
        counts=counts,
        audit=report,
        problems=problems,
    )


def counts_of(fixture: SaleFixture) -> list[BookCount]:
    """The books of the sale as they stand."""
    by_orders = sale_state.sold_by_orders(fixture)
    rows = Stock.objects.filter(sale_id=fixture.sale.pk).order_by("bin")
    return [
        BookCount(
            sku=row.sku, set_aside=row.received, held=row.held, sold=row.sold, by_orders=by_orders.get(row.sku, 0)
        )
        for row in rows
    ]


def _check_clicks(plan: SalePlan, clicks: Clicks, state: SaleState) -> Iterator[str]:
    if clicks.failures:
        yield f"{len(clicks.failures)} clicks had no answer, the first: {clicks.failures[0]}"
    elif state.orders != len(clicks.accepted_ms):
        yield f"{len(clicks.accepted_ms)} clicks were accepted, and there are {state.orders} orders"
    elif len(clicks.latencies_ms) != plan.buyers:
        yield f"only {len(clicks.latencies_ms)} of {plan.buyers} buyers clicked"


def check_orders(state: SaleState) -> Iterator[str]:
    """What is wrong with how orders ended."""
    if state.open:
        yield f"{state.open} orders have no end"
    if state.unrefunded:
        yield f"{state.unrefunded} cancelled orders still wait for their money"
    for reason in sorted(_FAILURES_OF_THE_SHOP & state.cancelled.keys()):
        yield f"{state.cancelled[reason]} orders were cancelled as “{reason}”"


def check_count(count: BookCount, *, units: int) -> Iterator[str]:
    """What is wrong with the count of one book, of which so many units were set aside."""
    if count.by_orders > units:
        yield f"{count.sku} is oversold: {count.by_orders} units in confirmed orders, {units} were set aside"
    if count.sold != count.by_orders:
        yield f"{count.sku}: inventory sold {count.sold} units, confirmed orders have {count.by_orders}"
    if count.set_aside != units:
        yield f"{count.sku}: {count.set_aside} units are set aside, not {units}"
    if count.held:
        yield f"{count.sku}: {count.held} units are still held"


def check_refusals(
    cancelled_orders: Iterable[CancelledOrder], counts: Sequence[BookCount], *, turned_away: Sequence[Sequence[str]]
) -> list[str]:
    """Buyers who were refused although they could have been served; `turned_away` are baskets refused without an order.

    As long as no units come back, the free units only decrease: something that a refused basket lacked must be sold
    out at the end. If units came back (a card was declined, an order cancelled), it may have been after the refusal,
    and nothing can be said.
    """
    cancelled_orders = list(cancelled_orders)
    if any(loser.reason != CancelCode.OUT_OF_STOCK for loser in cancelled_orders):
        return []
    left = {count.sku for count in counts if count.free > 0}
    wronged = [loser.reference for loser in cancelled_orders if left.issuperset(loser.skus)]
    refused_with_stock = sum(left.issuperset(skus) for skus in turned_away)
    return [
        *([f"{len(wronged)} orders were refused, such as {wronged[0]}, and their books are left"] if wronged else []),
        *([f"{refused_with_stock} buyers were turned away, and their books are left"] if refused_with_stock else []),
    ]
