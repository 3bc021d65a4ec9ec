"""Whether a queue kept its promises, by what its waiters heard and what PostgreSQL knows."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inventory.models import Movement
from shop import audit
from shop.simulation import verdict
from shop.simulation.buyers import SalePlan
from shop.simulation.formatting import percentile
from shop.simulation.load import Clicks
from shop.simulation.queueing.crowd import Crowd, Waiter
from shop.simulation.queueing.sockets import Heard
from shop.simulation.sale_fixture import SaleFixture
from shop.simulation.sale_state import SaleState
from shop.simulation.verdict import BookCount

TOLD_WITHIN_SECONDS = 2.0
NEXT_WITHIN_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class QueueVerdict:
    """The result of a sale with a waiting room, and everything that is wrong with it; times in seconds."""

    plan: SalePlan
    sale: str
    seconds: float
    clicks: Clicks
    state: SaleState
    counts: Sequence[BookCount]
    audit: audit.AuditReport
    place_ms: Sequence[float]
    decided_seconds: float | None
    """From the sale of the last copy until the queue knew of it."""
    told_seconds: Sequence[float]
    """From the sale of the last copy until a socket heard of it."""
    next_seconds: Sequence[float]
    """From a copy that came back until the next one was admitted."""
    admitted: int
    promises: int
    """Waiters who were told how many are before them, and were admitted later."""
    estimate_errors: Sequence[float]
    """How much later than estimated they were admitted."""
    problems: Sequence[str]

    @property
    def is_kept(self) -> bool:
        """Whether every promise was kept and the sale is exact."""
        return not self.problems


def judge(
    *,
    plan: SalePlan,
    fixture: SaleFixture,
    crowd: Crowd,
    state: SaleState,
    report: audit.AuditReport,
    seconds: float,
    slack: float,
) -> QueueVerdict:
    """Judge a sale in which every order has ended; `slack` multiplies what may take how long, for slow machines."""
    counts, heard = verdict.counts_of(fixture), crowd.listeners.heard
    sold_at = _sold_at(fixture)
    told_seconds = [] if sold_at is None else [at - sold_at for at in crowd.listeners.over_at]
    next_seconds = next_after_return(
        _returns(fixture, crowd.told.waiters), crowd.admissions, at_once=plan.units * plan.books
    )
    problems = [
        *(f"a waiter got no answer: {failure}" for failure in crowd.clicks.failures[:3]),
        *verdict.check_orders(state),
        *(problem for count in counts for problem in verdict.check_count(count, units=plan.units)),
        *_check_end(crowd, heard, told_seconds, slack, is_sold_out=not sum(count.free for count in counts)),
        *_check_delay(next_seconds, NEXT_WITHIN_SECONDS * slack, "a copy came back, and the next one was admitted"),
        *broken_promises(crowd.told.waiters, heard),
        *(f"the audit: {finding.name}: {finding.count} wrong" for finding in report.findings if finding.count),
    ]
    return QueueVerdict(
        plan=plan,
        sale=fixture.sale.name,
        seconds=seconds,
        clicks=crowd.clicks,
        state=state,
        counts=counts,
        audit=report,
        place_ms=crowd.told.place_ms,
        decided_seconds=next((each.state.over_ms / 1000 for each in heard if each.state.over_ms), 0.0) - sold_at
        if told_seconds and sold_at is not None
        else None,
        told_seconds=told_seconds,
        next_seconds=next_seconds,
        admitted=heard[-1].state.served if heard else 0,
        promises=sum(_has_promise(waiter) for waiter in crowd.told.waiters),
        estimate_errors=[
            waiter.admitted_at - waiter.estimated_at
            for waiter in crowd.told.waiters
            if waiter.admitted_at is not None and waiter.estimated_at is not None
        ],
        problems=problems,
    )


def _sold_at(fixture: SaleFixture) -> float | None:
    sold = Movement.objects.filter(bin__in=fixture.pools, kind=Movement.Kind.SOLD).order_by("-at").first()
    return None if sold is None else sold.at.timestamp()


def _returns(fixture: SaleFixture, waiters: Sequence[Waiter]) -> list[float]:
    """When copies, or chances at them, came back."""
    kinds = (Movement.Kind.RELEASED, Movement.Kind.EXPIRED)
    moves = Movement.objects.filter(bin__in=fixture.pools, kind__in=kinds).values_list("at", "held")
    passed = [waiter.until for waiter in waiters if waiter.until is not None and waiter.state == "admitted"]
    return sorted([*(at.timestamp() for at, held in moves for _ in range(-held)), *passed])


def next_after_return(
    returns: Sequence[float], admissions: Sequence[tuple[int, float]], *, at_once: int
) -> list[float]:
    """From each return until the admission that it made possible; the first `at_once` admissions needed none.

    `admissions` are how many were admitted, and when the last of them.
    """
    moments: list[float] = []
    for served, at in admissions:
        moments += [at] * (served - len(moments))
    return [admitted - came for came, admitted in zip(returns, moments[at_once:], strict=False)]


def _check_end(
    crowd: Crowd, heard: Sequence[Heard], told_seconds: Sequence[float], slack: float, *, is_sold_out: bool
) -> Iterator[str]:
    over = [each for each in heard if each.state.phase == "over"]
    if over and (more := crowd.admissions[-1][0] - over[0].state.served) > 0:
        yield f"{more} were admitted after the last copy was sold"
    if wrong := [state for state in crowd.told.after_over if state != "told"]:
        yield f"{len(wrong)} who waited were not told that the last copy is sold, but “{wrong[0]}”"
    if is_sold_out and not over:
        yield "the last copy was sold, and nobody was told"
    yield from _check_delay(
        told_seconds, TOLD_WITHIN_SECONDS * slack, "the last copy was sold, and waiters heard of it"
    )


def _check_delay(seconds: Sequence[float], most: float, what: str) -> Iterator[str]:
    if late := [each for each in seconds if each > most]:
        yield f"{what} up to {max(late):.2f} s later, {len(late)} of {len(seconds)} times later than {most:g} s"


def _has_promise(waiter: Waiter) -> bool:
    return waiter.ahead is not None and waiter.admitted_at is not None


def broken_promises(waiters: Sequence[Waiter], heard: Sequence[Heard]) -> Iterator[str]:
    """Waiters who were not admitted exactly when as many as they were told were before them had been."""
    wrong = []
    batches = [(0, -1), *((each.state.served, each.state.served_to) for each in heard if each.state.served)]
    for waiter in waiters:
        if waiter.ahead is None or waiter.admitted_at is None:
            continue
        turn = waiter.served + waiter.ahead
        (before, _), (after, _) = next(
            (pair for pair in itertools.pairwise(batches) if pair[0][1] < waiter.number <= pair[1][1]),
            ((0, 0), (0, 0)),
        )
        if not before <= turn < after:
            wrong.append(f"number {turn + 1} of the queue was among those from {before + 1} to {after}")
    if wrong:
        yield f"{len(wrong)} waiters were not admitted in their turn: {wrong[0]}"


def figures(verdict: QueueVerdict) -> dict[str, float | None]:
    """Percentiles: times to ask for a place in milliseconds, the rest in seconds."""
    return {
        "place_p50_ms": _rounded(percentile(verdict.place_ms, 50)),
        "place_p99_ms": _rounded(percentile(verdict.place_ms, 99)),
        "decided_s": _rounded(verdict.decided_seconds),
        "told_p50_s": _rounded(percentile(verdict.told_seconds, 50)),
        "told_most_s": _rounded(percentile(verdict.told_seconds, 100)),
        "next_p50_s": _rounded(percentile(verdict.next_seconds, 50)),
        "next_most_s": _rounded(percentile(verdict.next_seconds, 100)),
        "estimate_error_p50_s": _rounded(percentile([abs(each) for each in verdict.estimate_errors], 50)),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
