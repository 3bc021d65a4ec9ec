"""Who comes to the sale and what each wants; the same seed brings the same crowd."""

import random
import uuid
from dataclasses import dataclass, field

from events import catalogue
from shop.checkout.ordering import Contact

BUYERS_MAX = 100_000
UNITS_MAX = 100_000
BOOKS_MAX = 50
THREADS_MAX = 256


class BadPlan(ValueError):
    """The sale cannot be played like that; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class SalePlan:
    """How the sale is to be played."""

    buyers: int = 500
    units: int = 20
    """Of each book."""
    books: int = 1
    basket: int = 1
    """So many different books does each buyer want, one copy of each."""
    flow: str = catalogue.RESERVE_FIRST
    customer_limit: int | None = None
    declined_percent: float = 0.0
    """So many of the cards are declined."""
    threads: int = 32
    """So many buyers click at the same moment."""
    rate: float = 0.0
    """Clicks a second; 0 for as fast as they go."""
    seed: int = 1

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            BadPlan: see its message.
        """
        _between("--buyers", self.buyers, 1, BUYERS_MAX)
        _between("--units", self.units, 1, UNITS_MAX)
        _between("--books", self.books, 1, BOOKS_MAX)
        _between("--basket", self.basket, 1, BOOKS_MAX)
        _between("--threads", self.threads, 1, THREADS_MAX)
        _between("--cards", self.declined_percent, 0, 100)
        if self.basket > self.books:
            raise BadPlan(
                f"Nobody can want {self.basket} different books of {self.books}: "
                f"lower --basket to {self.books} or raise --books to {self.basket}."
            )
        if self.customer_limit is not None:
            _between("--limit", self.customer_limit, 1, UNITS_MAX)
        if self.rate < 0:
            raise BadPlan("--rate is 0 (as fast as they go) or more clicks a second.")


def _between(option: str, value: float, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadPlan(f"{option} takes a number from {least:,} to {most:,}, not {value:,g}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Buyer:
    """One person, with an address, a card and a list of wishes; a customer of their own."""

    number: int
    wants: tuple[int, ...]
    """Which of the books, in the sequence in which they went into the basket; they count from 0."""
    card: str
    contact: Contact
    key: uuid.UUID = field(default_factory=uuid.uuid4)
    """Of the one checkout; a second try uses it again."""


def crowd(plan: SalePlan) -> list[Buyer]:
    """All buyers in the sequence of their coming; but for their keys the same for the same plan."""
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
