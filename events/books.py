"""The facts that the shop states about its books."""

from typing import ClassVar

from kafka_bridge.wire.events import Event, Topic

TOPIC = Topic(name="catalogue.updates", owner="shop")


class BookUpdated(Event, frozen=True, kw_only=True):
    """A book's price, words or availability changed: whoever shows or sells it knows what holds now."""

    TYPE: ClassVar = "book.updated"
    TOPIC: ClassVar = TOPIC
    sku: str
    """The ISBN, thirteen digits."""
    title: str
    author: str
    price_minor: int
    """The usual price from now on, in minor units; a flash sale may have another one."""
    currency: str
    is_listed: bool
    """Whether it is for sale."""
    changed: tuple[str, ...]
    """Names of what changed: price_minor, is_listed, title, author, year, pages, blurb, category, series,
    series_number, publisher, format, language."""
    was_price_minor: int | None = None
    """The price before; None for a book that is new, or whose price is the same."""

    @property
    def key(self) -> str:
        """The book's ISBN: what changed about one book stays in sequence."""
        return self.sku
