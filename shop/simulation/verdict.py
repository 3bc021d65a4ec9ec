"""Whether the sale was exact: what was sold, to whom, and what the others were told, all by the shop's own tables."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from inventory.models import Stock
from orders.cancel_reasons import CancelCode
from shop import audit
from shop.simulation import watching
from shop.simulation.buyers import SalePlan
from shop.simulation.load import Clicks
from shop.simulation.sale_fixture import SaleFixture
from shop.simulation.watching import Loser, State

# Ends that an order must not come to in a sale whose buyers all pay at once and want no more than they may have.
_FAILURES_OF_THE_SHOP = frozenset({CancelCode.OVER_LIMIT, CancelCode.NOT_PAID, CancelCode.TIMED_OUT})


@dataclass(frozen=True, kw_only=True)
class Count:
    """One book at the end of the sale, in units."""

    sku: str
    set_aside: int
    held: int
    sold: int
    by_orders: int
    """In confirmed orders."""

    @property
    def free(self) -> int:
        """Nobody's."""
        return self.set_aside - self.held - self.sold


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the sale came to, and all that is wrong with it."""

    plan: SalePlan
    sale: str
    seconds: float
    clicks: Clicks
    state: State
    counts: Sequence[Count]
    audit: audit.AuditReport
    problems: Sequence[str]

    @property
    def is_exact(self) -> bool:
        """Whether every invariant holds."""
        return not self.problems

    @property
    def units_sold(self) -> int:
        """Of all books, by the orders that were confirmed."""
        return sum(count.by_orders for count in self.counts)

    @property
    def oversold(self) -> int:
        """Units in confirmed orders beyond those that were set aside."""
        return sum(max(0, count.by_orders - self.plan.units) for count in self.counts)


def reach(
    *, plan: SalePlan, stall: SaleFixture, clicks: Clicks, state: State, report: audit.AuditReport, seconds: float
) -> Verdict:
    """Judge a sale in which every order has ended and the shop has come to rest."""
    counts = _counts(stall)
    problems = [
        *_of_clicks(plan, clicks, state),
        *_of_orders(state),
        *(problem for count in counts for problem in of_count(count, units=plan.units)),
        *of_losers(
            watching.losers(stall),
            counts,
            turned_away=[[stall.skus[number] for number in buyer.wants] for buyer in clicks.turned_away],
        ),
        *(f"the audit: {finding.name}: {finding.count} wrong" for finding in report.findings if finding.count),
    ]
    return Verdict(
        plan=plan,
        sale=stall.sale.name,
        seconds=seconds,
        clicks=clicks,
        state=state,
        counts=counts,
        audit=report,
        problems=problems,
    )


def _counts(stall: SaleFixture) -> list[Count]:
    by_orders = watching.sold_by_orders(stall)
    rows = Stock.objects.filter(sale_id=stall.sale.pk).order_by("bin")
    return [
        Count(sku=row.sku, set_aside=row.received, held=row.held, sold=row.sold, by_orders=by_orders.get(row.sku, 0))
        for row in rows
    ]


def _of_clicks(plan: SalePlan, clicks: Clicks, state: State) -> Iterator[str]:
    if clicks.failures:
        yield f"{len(clicks.failures)} clicks had no answer, the first: {clicks.failures[0]}"
    elif state.orders != len(clicks.accepted_ms):
        yield f"{len(clicks.accepted_ms)} clicks were accepted, and there are {state.orders} orders"
    elif len(clicks.latencies_ms) != plan.buyers:
        yield f"only {len(clicks.latencies_ms)} of {plan.buyers} buyers clicked"


def _of_orders(state: State) -> Iterator[str]:
    if state.open:
        yield f"{state.open} orders have no end"
    if state.unrefunded:
        yield f"{state.unrefunded} cancelled orders still wait for their money"
    for reason in sorted(_FAILURES_OF_THE_SHOP & state.cancelled.keys()):
        yield f"{state.cancelled[reason]} orders were cancelled as “{reason}”"


def of_count(count: Count, *, units: int) -> Iterator[str]:
    """What is wrong with the count of one book of which so many units were set aside."""
    if count.by_orders > units:
        yield f"{count.sku} is oversold: {count.by_orders} units in confirmed orders, {units} were set aside"
    if count.sold != count.by_orders:
        yield f"{count.sku}: inventory sold {count.sold} units, confirmed orders have {count.by_orders}"
    if count.set_aside != units:
        yield f"{count.sku}: {count.set_aside} units are set aside, not {units}"
    if count.held:
        yield f"{count.sku}: {count.held} units are still held"


def of_losers(losers: Iterable[Loser], counts: Sequence[Count], *, turned_away: Sequence[Sequence[str]]) -> list[str]:
    """Whether anybody was refused who could have been served; `turned_away` are the baskets refused at the door.

    While nothing comes back, units only become fewer: so of whatever a refused basket lacked, nothing is left at the
    end. Where units came back (a card was declined, somebody cancelled), they may have done so after the refusal.
    """
    losers = list(losers)
    if any(loser.reason != CancelCode.OUT_OF_STOCK for loser in losers):
        return []
    left = {count.sku for count in counts if count.free > 0}
    wronged = [loser.reference for loser in losers if left.issuperset(loser.skus)]
    at_the_door = sum(left.issuperset(skus) for skus in turned_away)
    return [
        *([f"{len(wronged)} orders were refused, such as {wronged[0]}, and their books are left"] if wronged else []),
        *([f"{at_the_door} buyers were turned away, and their books are left"] if at_the_door else []),
    ]
