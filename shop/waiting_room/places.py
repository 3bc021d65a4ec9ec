"""One's place: asking for it, finding it again, and what is said of it."""

import secrets
import uuid
from dataclasses import dataclass

from django.http import HttpRequest

from shop.checkout import owners
from shop.limits import limits, visitors
from shop.waiting_room import admission, rooms, scripts, tokens
from shop.waiting_room.admission import Phase, Snapshot
from shop.waiting_room.rooms import Room


class NoPlaces(Exception):
    """The room gives no places now; the words say why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A visitor's place, with the queue at the same moment."""

    token: tokens.Token
    state: str
    """before, waiting, admitted, buying, bought, failed, passed, told (the last copy is sold), ended or free (everybody
    may order)."""
    ahead: int | None
    """How many are before it; None before the draw, and for who does not wait."""
    until_ms: int
    served: int
    """How many had been admitted when `ahead` was counted: whoever was admitted since then was before this place."""
    restored: int
    epoch: str


def find(request: HttpRequest, room: Room, snapshot: Snapshot) -> Place | None:
    """The visitor's place; None if there is none.

    Raises:
        shop.waiting_room.admission.Unreachable: see there.
    """
    return _place(request, room, snapshot, gives=False)


def ask(request: HttpRequest, room: Room, snapshot: Snapshot) -> Place:
    """The visitor's place, a new one if there is none.

    Raises:
        NoPlaces: it gives none now.
        shop.limits.limits.Refused: too many from one network.
        shop.waiting_room.admission.Unreachable: see there.
    """
    place = _place(request, room, snapshot, gives=False)
    if place is not None and place.state not in ("passed", "failed"):
        return place
    if snapshot.phase is Phase.CLOSED:
        raise NoPlaces(f"Places are given from {room.gives_places_from:%H:%M:%S} UTC on.")
    if snapshot.phase is Phase.OVER:
        raise NoPlaces("The last copy is sold, and the queue has ended.")
    if snapshot.phase is Phase.ENDED:
        raise NoPlaces("The sale is over.")
    limits.take(request, (limits.WAITING_PLACES, visitors.network_of(request)))
    rooms.note_first_place(room)
    place = _place(request, room, snapshot, gives=True)
    if place is None:
        raise NoPlaces("The queue has just ended.")
    return place


def _place(request: HttpRequest, room: Room, snapshot: Snapshot, *, gives: bool) -> Place | None:
    shown, owner = tokens.find(tokens.shown(request), sale_id=room.sale_id), _owner(request)
    if shown is None and not owner and not gives:
        return None
    try:
        held = scripts.take(
            room,
            owner=owner,
            gives=gives,
            fresh=secrets.token_hex(16),
            shown=(shown.place, shown.number, shown.until_ms) if shown else None,
            epoch=uuid.uuid4().hex,
        )
    except admission.UNREACHABLE as error:
        raise admission.Unreachable from error
    if not held.place:
        return None
    token = tokens.Token(sale_id=room.sale_id, place=held.place, number=held.number, until_ms=held.until_ms)
    state = _state(held, snapshot.phase)
    return Place(
        token=token,
        state=state,
        ahead=held.ahead if state == "waiting" else None,
        until_ms=held.until_ms,
        served=held.served,
        restored=held.restored,
        epoch=held.epoch,
    )


def _state(held: scripts.Held, phase: Phase) -> str:
    if held.state not in ("waiting", "admitted"):
        return held.state
    if phase in (Phase.CLOSED, Phase.BEFORE):
        return "before"
    return {Phase.OVER: "told", Phase.ENDED: "ended", Phase.IDLE: "free"}.get(phase, held.state)


def _owner(request: HttpRequest) -> str:
    """Whose place it is, where that is known without a cookie of the place: an account's, or a session's that is there.

    A guest without a session needs none: the cookie of the place says as much.
    """
    if request.session.session_key is None:
        return ""
    if request.user.is_authenticated:
        return f"a:{owners.pseudonym_of(owners.owner_of(request))}"
    return f"s:{owners.pseudonym_of(owners.owner_of(request))}" if owners.has_owner(request) else ""
