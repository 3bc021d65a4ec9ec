"""The same buyers at a shop that checks, charges and then acts, like any synchronous shop without locks.

    SELECT units            -- enough? then
    charge the card         -- some milliseconds, in which others read the same number
    UPDATE units = what was read - 1
    INSERT the sale

It uses two scratch tables, which are dropped afterwards, and none of the shop's.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings
from django.db import connection

from shop.simulation.buyers import Buyer, SalePlan
from shop.simulation.load import Click, ClickAnswer, Rush


@dataclass(frozen=True, kw_only=True)
class NaiveResult:
    """What the naive shop believes it did."""

    plan: SalePlan
    seconds: float
    confirmed: int
    """Buyers who were told that they got their books."""
    units_sold: int
    oversold: int
    """Units that were sold and do not exist."""
    charged_in_vain: int
    """Buyers whose card was charged for a book that does not exist."""
    told_no: int
    units_left: int
    """What the table says."""
    latencies_ms: Sequence[float]
    failures: Sequence[str]
    twice: tuple[int, int, int] | None
    """Two buyers (by number) who bought the same copy, and that copy's number; None if there are none."""

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        if not self.oversold:
            return "By luck nothing was oversold; try more buyers or another --seed."
        sentence = f"Oversold by {self.oversold:,}: {self.units_sold:,} sold."
        if self.twice is not None:
            first, second, copy = self.twice
            sentence += f" Buyer {first:,} and buyer {second:,} both paid for copy {copy:,}."
        return sentence


@dataclass
class NaiveShop:
    """A shop of two scratch tables."""

    plan: SalePlan
    stock: str
    sale: str
    rush: Rush = field(init=False)
    started: float = 0.0

    def open(self, buyers: Sequence[Buyer]) -> None:
        """Start the buyers."""
        self.rush = Rush(buyers, self._open_client, self.plan)
        self.started = time.monotonic()
        self.rush.start()

    def sold(self) -> int:
        """Units sold so far."""
        return _number(f"SELECT count(*) FROM {self.sale}")  # noqa: S608 - a name of ours

    def result(self) -> NaiveResult:
        """The result, once all buyers have clicked."""
        seconds = time.monotonic() - self.started
        per_book = [int(row[0]) for row in _rows(f"SELECT count(*) FROM {self.sale} GROUP BY book")]  # noqa: S608
        # The first buyers get the copies there are; every later one paid in vain.
        in_vain = _number(
            f"SELECT count(DISTINCT buyer) FROM (SELECT buyer, row_number() OVER (PARTITION BY book ORDER BY id) AS n "  # noqa: S608
            f"FROM {self.sale}) AS each WHERE n > {self.plan.units}"
        )
        twice = _rows(
            f"SELECT (array_agg(buyer ORDER BY id))[1], (array_agg(buyer ORDER BY id))[2], copy FROM {self.sale} "  # noqa: S608
            "GROUP BY book, copy HAVING count(*) > 1 ORDER BY min(id) LIMIT 1"
        )
        confirmed = _number(f"SELECT count(DISTINCT buyer) FROM {self.sale}")  # noqa: S608
        return NaiveResult(
            plan=self.plan,
            seconds=seconds,
            confirmed=confirmed,
            units_sold=sum(per_book),
            oversold=sum(max(0, count - self.plan.units) for count in per_book),
            charged_in_vain=in_vain,
            told_no=len(self.rush.clicks.turned_away),
            units_left=_number(f"SELECT coalesce(sum(units), 0) FROM {self.stock}"),  # noqa: S608
            latencies_ms=self.rush.clicks.latencies_ms,
            failures=tuple(self.rush.clicks.failures),
            twice=(twice[0][0], twice[0][1], twice[0][2]) if twice else None,
        )

    @contextmanager
    def _open_client(self) -> Iterator[Click]:
        try:
            self._read((0,))  # connected before the start, as a shop is
            yield self._buy
        finally:
            connection.close()

    def _read(self, books: Sequence[int]) -> dict[int, int]:
        found = _rows(f"SELECT book, units FROM {self.stock} WHERE book = ANY(%s)", list(books))  # noqa: S608
        return {book: units for book, units in found}  # noqa: C416 - says that there are two

    def _buy(self, buyer: Buyer) -> ClickAnswer:
        read = self._read(buyer.wants)
        if min(read.values()) < 1:
            return ClickAnswer.TURNED_AWAY
        _charge()
        if buyer.card == "pm_declined":
            return ClickAnswer.TURNED_AWAY
        with connection.cursor() as cursor:
            for book in buyer.wants:
                cursor.execute(f"UPDATE {self.stock} SET units = %s WHERE book = %s", [read[book] - 1, book])  # noqa: S608
                cursor.execute(
                    f"INSERT INTO {self.sale} (buyer, book, copy) VALUES (%s, %s, %s)",  # noqa: S608
                    [buyer.number, book, self.plan.units - read[book] + 1],
                )
        return ClickAnswer.ACCEPTED


@contextmanager
def opened(plan: SalePlan) -> Iterator[NaiveShop]:
    """A shop with the plan's books and units, in tables that are dropped afterwards."""
    name = f"simulation_{uuid.uuid4().hex}"
    shop = NaiveShop(plan, stock=f"{name}_stock", sale=f"{name}_sale")
    _do(f"CREATE UNLOGGED TABLE {shop.stock} (book int PRIMARY KEY, units int NOT NULL)")
    try:
        _do(f"CREATE UNLOGGED TABLE {shop.sale} (id serial PRIMARY KEY, buyer int, book int, copy int)")
        _do(f"INSERT INTO {shop.stock} SELECT n, {plan.units} FROM generate_series(0, {plan.books - 1}) AS n")  # noqa: S608
        yield shop
    finally:
        _do(f"DROP TABLE IF EXISTS {shop.stock}, {shop.sale}")


def _charge() -> None:
    """As long as the sandbox gateway takes for a card."""
    time.sleep(settings.SANDBOX_LATENCY_SECONDS)


def _do(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _rows(statement: str, *parameters: list[int]) -> list[tuple[int, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        found: list[tuple[int, ...]] = cursor.fetchall()
        return found


def _number(statement: str) -> int:
    return int(_rows(statement)[0][0])
