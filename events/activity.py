"""What visitors do in the shop, as counts: nothing here says who it was, and some of it may be lost.

An event is what one web process counted within about a second. It has no session, no account, no address and no browser
in it.
"""

from typing import Annotated, ClassVar

from msgspec import Meta

from kafka_bridge.wire.events import GIB, Event, Topic

TOPIC = Topic(name="shop.activity", owner="shop", written_by="web", retention_bytes=GIB)


class PageViewed(Event, frozen=True, kw_only=True):
    """A page was shown, so many times: analytics counts how many looks at a book become orders."""

    TYPE: ClassVar = "page.viewed"
    TOPIC: ClassVar = TOPIC
    page: Annotated[str, Meta(min_length=1)]
    """Which kind of page: front, list, book, cart, checkout, or page (imprint, terms and the like)."""
    sku: str = ""
    """The ISBN, on the page of a book."""
    views: int

    @property
    def key(self) -> str:
        """The book's ISBN, or the kind of page."""
        return self.sku or self.page


class SearchMade(Event, frozen=True, kw_only=True):
    """Somebody searched for these words, so many times: what is not found may be worth having."""

    TYPE: ClassVar = "search.made"
    TOPIC: ClassVar = TOPIC
    words: str
    """In lower case, at most 60 characters; empty where they might say something about a person."""
    found: int
    """How many books have them."""
    times: int

    @property
    def key(self) -> str:
        """The same for all: words are nobody's business in a log line."""
        return "search"


class CartChanged(Event, frozen=True, kw_only=True):
    """Carts changed: a book was put in, its quantity was changed, or it was taken out, so many times."""

    TYPE: ClassVar = "cart.changed"
    TOPIC: ClassVar = TOPIC
    sku: Annotated[str, Meta(min_length=1)]
    change: str
    """added (it was not in the cart before), more, fewer or removed."""
    copies: int
    """How many more or fewer copies, all times together; never negative."""
    times: int

    @property
    def key(self) -> str:
        """The book's ISBN."""
        return self.sku
