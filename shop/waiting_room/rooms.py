"""Which sales have a waiting room, and what is known of it apart from who waits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from shop import models
from shop.site import ttl_cache
from shop.waiting_room import draw
from shop.waiting_room.tables import WaitingMode, WaitingRoom

PLACES_BEFORE = timedelta(minutes=30)
"""So long before a sale starts, places are given."""
_REMEMBERED = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """The waiting room of a sale."""

    sale_id: int
    name: str
    mode: str
    starts_at: datetime
    ends_at: datetime
    pass_seconds: int
    """How long somebody who is admitted has for an order."""
    seed: str
    has_places: bool
    """Whether somebody got a place, as PostgreSQL knows it."""
    is_drawn: bool
    """Whether the draw is kept in PostgreSQL."""
    is_paused: bool

    @property
    def gives_places_from(self) -> datetime:
        """From when on one can ask for a place."""
        return self.starts_at - PLACES_BEFORE

    @property
    def commitment(self) -> str:
        """See `draw`."""
        return draw.commitment(self.seed)

    @property
    def has_started(self) -> bool:
        """Whether the draw is done."""
        return timezone.now() >= self.starts_at


def open_room(sale: models.FlashSale) -> None:
    """See to it that the sale has the row that its mode needs; repeating it changes nothing."""
    if sale.waiting_room != WaitingMode.OFF:
        WaitingRoom.objects.get_or_create(sale=sale, defaults={"seed": draw.new_seed()})
    forget()


def find(sale_id: int) -> Room | None:
    """The waiting room of a sale, at most half a second old; None if it has none, or was over a day ago."""
    return _rooms.get().get(sale_id)


def note_first_place(room: Room) -> None:
    """Remember that places were given, so that a Redis which knows of none is known to have lost them."""
    if not room.has_places:
        WaitingRoom.objects.filter(sale_id=room.sale_id, first_place_at=None).update(first_place_at=timezone.now())
        forget()


def keep_draw(room: Room, places: list[str]) -> None:
    """Keep the places that were drawn, once, in the sequence of the draw."""
    drawn = draw.in_sequence(room.seed, places)
    WaitingRoom.objects.filter(sale_id=room.sale_id, drawn=None).update(drawn=drawn)
    forget()


def forget() -> None:
    """Drop this process's cached rooms."""
    _rooms.forget()


def find_any(sale_id: int) -> Room | None:
    """The waiting room of a sale, also of one that was over long ago; read now."""
    return _read(models.FlashSale.objects.filter(pk=sale_id, room__isnull=False)).get(sale_id)


def _load() -> Mapping[int, Room]:
    sales = models.FlashSale.objects.filter(ends_at__gt=timezone.now() - _REMEMBERED, room__isnull=False)
    return _read(sales.exclude(waiting_room=WaitingMode.OFF))


def _read(sales: QuerySet[models.FlashSale]) -> Mapping[int, Room]:
    rows = sales.values_list(
        "pk",
        "name",
        "waiting_room",
        "starts_at",
        "ends_at",
        "waiting_pass_seconds",
        "room__seed",
        "room__first_place_at",
        "room__drawn__isnull",
        "room__paused_at",
    )
    return {
        pk: Room(
            sale_id=pk,
            name=name,
            mode=mode,
            starts_at=starts_at,
            ends_at=ends_at,
            pass_seconds=pass_seconds,
            seed=seed,
            has_places=first_place_at is not None,
            is_drawn=not undrawn,
            is_paused=paused_at is not None,
        )
        for pk, name, mode, starts_at, ends_at, pass_seconds, seed, first_place_at, undrawn, paused_at in rows
    }


_rooms: ttl_cache.TtlCache[Mapping[int, Room]] = ttl_cache.TtlCache(_load, max_age_seconds=0.5)
