"""What analytics believes of visitors' activity, which no outbox bears out.

Whoever may write to the topic may make these counts up: brokers let the role web do that, and nobody else. So a count
decides nothing but what staff see, and what no shop of ours can have said is refused.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from events import catalogue
from kafka_bridge.wire.envelope import Received
from kafka_bridge.wire.events import Event
from shop.activity import privacy

COUNT_MAX = 1_000_000
"""More than one process counts within a second."""
AHEAD = timedelta(minutes=10)
"""Clocks differ; by more than this they do not."""
PAGES = ("front", "list", "book", "cart", "checkout")
CHANGES = ("added", "more", "fewer", "removed")


def plausible(messages: Sequence[Received]) -> list[str]:
    """For each of these why a web process of ours cannot have said it, or "" where it can."""
    now = datetime.now(UTC)
    return [next(_doubts(message.event, message.time, now), "") for message in messages]


def _doubts(event: Event, time: datetime, now: datetime) -> Iterator[str]:
    if time > now + AHEAD:
        yield f"it says that it is of {time:%Y-%m-%d %H:%M}, which is still to come"
    counts: tuple[int, ...]
    if isinstance(event, catalogue.SearchMade):
        counts = (event.times, event.found)
        if event.words != privacy.tellable(event.words):
            yield "these words would not have been told"
    elif isinstance(event, catalogue.PageViewed):
        counts = (event.views,)
        if event.page not in PAGES or (event.page == "book") != _is_isbn(event.sku):
            yield "there is no such page"
    elif isinstance(event, catalogue.CartChanged):
        counts = (event.times, event.copies)
        if event.change not in CHANGES or not _is_isbn(event.sku):
            yield "no cart changes like that"
    else:
        raise TypeError(f"{event.TYPE} is no activity")
    if not all(0 <= count <= COUNT_MAX for count in counts):
        yield "no process counts so many"


def _is_isbn(sku: str) -> bool:
    return len(sku) == 13 and sku.isascii() and sku.isdigit()
