"""How the queue stands, and its turns: whoever looks at it works it, so that no process of its own need be up.

A turn takes place about four times a second while anybody looks, by whichever process comes first.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from threading import Lock
from uuid import UUID

import redis
from django.db.models import Sum
from django.utils import timezone

from inventory import queries
from inventory.models import Reservation, Stock, pool_name
from kafka_bridge.telemetry import metrics
from orders.models import Order, Status
from shop.models import FlashSaleBook
from shop.site import ttl_cache
from shop.waiting_room import rooms, scripts
from shop.waiting_room.rooms import Room

TURN_SECONDS = 0.25
ORDER_WITHIN_SECONDS = 30.0
"""A click whose order is not there after so long was none; its buyer is admitted again."""
_BACKOFF_SECONDS = 1.0
TURNS = metrics.counter("waiting_room_turns", "Turns in which a waiting room was worked", by="web")
_GOT_NONE = (Reservation.State.REFUSED, Reservation.State.RELEASED, Reservation.State.EXPIRED)
UNREACHABLE = (redis.RedisError, OSError)


class Phase(StrEnum):
    """Where a waiting room stands."""

    CLOSED = "closed"
    """It gives no places yet."""
    BEFORE = "before"
    """It gives places for the draw."""
    IDLE = "idle"
    """Everybody may order: there are copies for all who have asked."""
    OPEN = "open"
    PAUSED = "paused"
    MENDING = "mending"
    """Redis had lost the queue: places come back, and nobody is admitted for some seconds."""
    OVER = "over"
    """All copies are sold for good; nobody is admitted any more."""
    ENDED = "ended"
    """The sale is over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A waiting room at one moment."""

    phase: Phase
    epoch: str
    """Another one means that Redis had lost the queue."""
    waiting: int
    admitted: int
    buying: int
    """Orders of which PostgreSQL does not say yet whether they got a copy."""
    bought: int
    passed: int
    """How many did not order in time, and gave their chance back."""
    told: int
    """How many were told that the last copy is sold."""
    served: int
    """How many were admitted since the start."""
    served_to: int
    """The number of the last one who was admitted; see `draw`."""
    restored: int
    free: int
    held: int
    sold: int
    rate: float | None
    """How many were admitted in the last minute, when not all at once; None while that is not known."""
    served_at_ms: int = 0
    """When the last one was admitted, in milliseconds since 1970."""
    over_ms: int = 0
    """When the last copy was sold, in milliseconds since 1970."""

    @property
    def asks_for_places(self) -> bool:
        """Whether an order needs a place that is admitted."""
        return self.phase in (Phase.OPEN, Phase.PAUSED, Phase.MENDING)


class Unreachable(Exception):
    """Redis cannot be asked: places are kept by who holds them. Try again in some seconds."""


_caches: dict[int, ttl_cache.TtlCache[Snapshot]] = {}
_lock = Lock()
_backoff_until = 0.0


def look(room: Room) -> Snapshot:
    """How it stands, at most a quarter of a second ago; works it if it is due.

    Raises:
        Unreachable: see there.
    """
    global _backoff_until
    if time.monotonic() < _backoff_until:
        raise Unreachable
    with _lock:
        fresh = ttl_cache.TtlCache(partial(work, room), max_age_seconds=TURN_SECONDS)
        cache = _caches.setdefault(room.sale_id, fresh)
    try:
        return cache.get(partial(work, room))
    except UNREACHABLE as error:
        _backoff_until = time.monotonic() + _BACKOFF_SECONDS
        raise Unreachable from error


def work(room: Room) -> Snapshot:
    """The same, now: a turn, unless another process has just had one.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
        django.db.Error: PostgreSQL cannot be reached.
    """
    if room.has_started and scripts.is_my_turn(room.sale_id, milliseconds=int(TURN_SECONDS * 1000 * 0.8)):
        take_turn(room)
    return _snapshot(room)


def forget() -> None:
    """Drop what this process knows of all queues."""
    global _backoff_until
    _backoff_until = 0.0
    _caches.clear()


def take_turn(room: Room) -> None:
    """Let in whom the free copies reach, and end what has ended, by PostgreSQL's counts.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
        django.db.Error: PostgreSQL cannot be reached.
    """
    meta, undecided, _, _ = scripts.read(room.sale_id)
    # In this sequence: see Note [What a waiting room has in Redis].
    decided = decide(undecided)
    units = _units(room.sale_id)
    scripts.turn(room, based_on=meta.get("turn", ""), decided=decided, units=units, epoch=uuid.uuid4().hex)
    TURNS.inc()


def decide(undecided: Mapping[str, str]) -> Sequence[tuple[str, str, str]]:
    """Of places with the key of their order and when they clicked: those of which PostgreSQL says what came of it."""
    if not undecided:
        return []
    clicks = {place: value.split(" ") for place, value in undecided.items()}
    keys = [UUID(key) for key, _, _ in clicks.values()]
    rows = Order.objects.filter(idempotency_key__in=keys).values_list("idempotency_key", "pk", "status")
    orders = {str(key): (order_id, status) for key, order_id, status in rows}
    # Inventory's own word, and not the order's, which comes a moment later: till then its copy would count twice.
    reserved = queries.reservation_states(order_id for order_id, _ in orders.values())
    found, now_ms = [], time.time() * 1000
    for place, (key, clicked_ms, _) in clicks.items():
        order_id, status = orders.get(key, (None, ""))
        state = reserved.get(order_id) if order_id else None
        if order_id is None:
            if now_ms - float(clicked_ms) > ORDER_WITHIN_SECONDS * 1000:
                found.append((place, key, "back"))
        elif status == Status.CANCELLED or state in _GOT_NONE:
            found.append((place, key, "failed"))
        elif state is not None:
            found.append((place, key, "bought"))
    return found


def _units(sale_id: int) -> tuple[int, int, int]:
    skus = FlashSaleBook.objects.filter(sale_id=sale_id).values_list("book__isbn", flat=True)
    # By their keys: there may be as many pools as books in the shop.
    sums = Stock.objects.filter(pk__in=[pool_name(sku, sale_id) for sku in skus]).aggregate(
        received=Sum("received", default=0), held=Sum("held", default=0), sold=Sum("sold", default=0)
    )
    return sums["received"] - sums["held"] - sums["sold"], sums["held"], sums["sold"]


def _snapshot(room: Room) -> Snapshot:
    meta, undecided, waiting, admitted = scripts.read(room.sale_id)
    number = {name: int(float(meta.get(name, "0"))) for name in _COUNTS}
    return Snapshot(
        phase=_phase(room, meta),
        epoch=meta.get("epoch", ""),
        waiting=waiting,
        admitted=admitted,
        buying=len(undecided),
        rate=float(meta["rate"]) if "rate" in meta else None,
        served_at_ms=int(float(meta.get("served_at", "0"))),
        over_ms=int(float(meta.get("over", "0"))),
        **number,
    )


_COUNTS = ("bought", "passed", "told", "served", "served_to", "restored", "free", "held", "sold")


def _phase(room: Room, meta: Mapping[str, str]) -> Phase:
    now = timezone.now()
    if now < room.gives_places_from:
        return Phase.CLOSED
    if now < room.starts_at:
        return Phase.BEFORE
    if "over" in meta:
        return Phase.OVER
    if now >= room.ends_at:
        return Phase.ENDED
    if room.mode == "auto" and "active" not in meta:
        return Phase.IDLE
    if room.is_paused:
        return Phase.PAUSED
    return Phase.MENDING if float(meta.get("mended", "0")) > now.timestamp() * 1000 else Phase.OPEN


def find(sale_id: int) -> tuple[Room, Snapshot] | None:
    """The room of a sale and how it stands; None if it has none.

    Raises:
        Unreachable: see there.
    """
    room = rooms.find(sale_id)
    return None if room is None else (room, look(room))
