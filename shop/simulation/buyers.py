"""The plan of a simulated sale and its buyers; the same seed gives the same buyers."""

import random
import uuid
from dataclasses import dataclass, field

from events import catalogue
from shop.checkout.contacts import Contact

BUYERS_MAX = 100_000
UNITS_MAX = 100_000
BOOKS_MAX = 50
THREADS_MAX = 256
SOCKETS_MAX = 50_000


class BadPlan(ValueError):
    """The sale cannot be run with these options; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class SalePlan:
    """The options of a simulated sale."""

    buyers: int = 500
    units: int = 20
    """Units of each book."""
    books: int = 1
    basket: int = 1
    """Number of different books each buyer wants, one copy of each."""
    flow: str = catalogue.RESERVE_FIRST
    customer_limit: int | None = None
    declined_percent: float = 0.0
    """Percentage of buyers whose card is declined."""
    threads: int = 32
    """Number of buyers who click at the same moment."""
    rate: float = 0.0
    """Clicks a second; 0 for as fast as possible."""
    seed: int = 1
    queue: bool = False
    """Whether the sale has a waiting room."""
    sockets: int = 100
    """Number of waiters who listen on a socket of their own."""
    idle_percent: float = 5.0
    """Percentage of waiters who do not order when it is their turn."""
    pass_seconds: int = 10
    """How long somebody who is admitted has for an order."""

    @property
    def starts_in_seconds(self) -> float:
        """When the sale starts; before that, waiters ask for places."""
        return max(5.0, self.buyers / 200) if self.queue else -1.0

    def check(self) -> None:
        """Refuse impossible values.

        Raises:
            BadPlan: see its message.
        """
        _between("--buyers", self.buyers, 1, BUYERS_MAX)
        _between("--units", self.units, 1, UNITS_MAX)
        _between("--books", self.books, 1, BOOKS_MAX)
        _between("--basket", self.basket, 1, BOOKS_MAX)
        _between("--threads", self.threads, 1, THREADS_MAX)
        _between("--sockets", self.sockets, 1, SOCKETS_MAX)
        _between("--idle", self.idle_percent, 0, 90)
        _between("--pass", self.pass_seconds, 1, 3600)
        _between("--declined", self.declined_percent, 0, 100)
        if self.basket > self.books:
            raise BadPlan(
                f"Nobody can want {self.basket} different books of {self.books}: "
                f"lower --basket to {self.books} or raise --books to {self.basket}."
            )
        if self.customer_limit is not None:
            _between("--limit", self.customer_limit, 1, UNITS_MAX)
        if self.rate < 0:
            raise BadPlan("--rate takes 0 (as fast as possible) or a number of clicks a second.")


def _between(option: str, value: float, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadPlan(f"{option} takes a number from {least:,} to {most:,}, not {value:,g}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Buyer:
    """One customer, with an address, a card and the books they want."""

    number: int
    wants: tuple[int, ...]
    """Indexes of the books, in the sequence in which they went into the basket."""
    card: str
    contact: Contact
    key: uuid.UUID = field(default_factory=uuid.uuid4)
    """The idempotency key of the checkout; a retry uses it again."""


def generate(plan: SalePlan) -> list[Buyer]:
    """All buyers in the sequence in which they click; the same for the same plan, except for their keys."""
    picker = random.Random(plan.seed)  # noqa: S311 - to be repeatable, not secret
    return [
        Buyer(
            number=number,
            wants=tuple(picker.sample(range(plan.books), plan.basket)),
            card="pm_declined" if picker.random() * 100 < plan.declined_percent else "pm_success",
            contact=Contact(
                name=f"Buyer {number}",
                email=f"buyer-{plan.seed}-{number}@simulation.example",
                address_line1=f"{number} Queue Street",
                city="Rushville",
                postcode="12345",
                country="US",
            ),
        )
        for number in range(1, plan.buyers + 1)
    ]
