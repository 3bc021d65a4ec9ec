"""What open pages of a waiting room are told: one look for all pages of this process, and the same words for each."""

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.db import Error, close_old_connections

from shop.waiting_room import admission, rooms

log = logging.getLogger(__name__)
LOOK_SECONDS = 0.3
PAGES_PER_SECOND = 1000
"""So many pages are told of new numbers; of a new phase all are told at once, which a loop that is busy could not."""
AWAY = b'{"type":"away"}'
# Few, whatever numbers of sales strangers make up.
_executor = ThreadPoolExecutor(2, thread_name_prefix="waiting-rooms")


class RoomState(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="room"):
    """The queue, as everybody may know it."""

    phase: str
    epoch: str
    served: int
    served_at_ms: int
    """When the last one was admitted, in milliseconds since 1970."""
    served_to: int
    """The number of the last one who was admitted: who has a smaller one, or this, has been."""
    restored: int
    waiting: int
    admitted: int
    free: int
    held: int
    sold: int
    over_ms: int
    seed: str | None = None
    """Once the sale has started: a page computes its own number with it."""


class Seat:
    """The subscription of one page; however slow it is, the latest word is the only one that waits for it."""

    def __init__(self, feed: "Feed") -> None:
        self._feed = feed
        self.news = asyncio.Event()

    def take(self) -> bytes:
        """The latest word; empty if the sale has no waiting room. Call it only once `news` is set."""
        self.news.clear()
        return self._feed.word


class Feed:
    """One waiting room, looked at while a page of it is open. Used in one event loop."""

    def __init__(self, sale_id: int) -> None:
        self._sale_id = sale_id
        self._seats: set[Seat] = set()
        self._task: asyncio.Task[None] | None = None
        self._has_looked = False
        self.word = b""

    @contextmanager
    def seat(self) -> Iterator[Seat]:
        """Subscribe. The first subscription starts the looking, the last one ends it."""
        seat = Seat(self)
        self._seats.add(seat)
        if self._has_looked:
            seat.news.set()
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            yield seat
        finally:
            self._seats.discard(seat)

    async def _watch(self) -> None:
        look = sync_to_async(_look, thread_sensitive=False, executor=_executor)
        now, said, due_at = asyncio.get_running_loop().time, "", 0.0
        try:
            while self._seats:
                word, urgent = await look(self._sale_id)
                if word == AWAY != self.word:
                    log.warning("the waiting room of sale %d cannot be looked at", self._sale_id)
                if urgent != said or not self._has_looked or (word != self.word and now() >= due_at):
                    self._tell(word)
                    said, due_at = urgent, now() + len(self._seats) / PAGES_PER_SECOND
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._task, self._has_looked, self.word = None, False, b""
            feeds.pop(self._sale_id, None)

    def _tell(self, word: bytes) -> None:
        self.word, self._has_looked = word, True
        for seat in self._seats:
            seat.news.set()


feeds: dict[int, Feed] = {}


def feed_of(sale_id: int) -> Feed:
    """The feed of a sale's waiting room in this process."""
    return feeds.setdefault(sale_id, Feed(sale_id))


def _look(sale_id: int) -> tuple[bytes, str]:
    """The word now, empty if the sale has no waiting room; and of it what must not wait. Blocks; works the queue."""
    close_old_connections()
    try:
        found = admission.find(sale_id)
    except (admission.Unreachable, Error) as error:
        log.debug("the waiting room of sale %d cannot be looked at: %r", sale_id, error)
        return AWAY, ""
    except Exception:  # whatever it is, the next look tries again
        log.exception("the waiting room of sale %d cannot be looked at", sale_id)
        return AWAY, ""
    if found is None:
        return b"", "none"
    state = _state(*found)
    return msgspec.json.encode(state), f"{state.phase} {state.epoch}"


def _state(room: rooms.Room, snapshot: admission.Snapshot) -> RoomState:
    names: Any = set(RoomState.__struct_fields__) - {"seed"}
    seed = room.seed if room.has_started else None
    return RoomState(**{name: getattr(snapshot, name) for name in names}, seed=seed)
