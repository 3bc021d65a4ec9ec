"""At the checkout: an order from a sale whose waiting room asks for places needs one that is admitted."""

import logging
import time
import uuid
from collections.abc import Collection
from contextlib import suppress
from uuid import UUID

from shop.waiting_room import admission, rooms, scripts, tokens
from shop.waiting_room.rooms import Room
from shop.waiting_room.tables import WaitingMode

log = logging.getLogger(__name__)
_SENTENCES = {
    "": "This sale has a waiting room. Ask for a place there, and order when it is your turn.",
    "waiting": "It is not your turn yet. Your place in the waiting room is kept.",
    "passed": "The time for your order has run out. You can ask for a new place in the waiting room.",
    "buying": "An order was placed with your place already. One place is for one order.",
    "bought": "You have ordered with your place. One place is for one order.",
    "failed": "The order with your place got no copy. You can ask for a new place in the waiting room.",
}


class NotAdmitted(Exception):
    """The order needs a place in the waiting room that is admitted; nothing was ordered."""

    def __init__(self, sale_id: int, state: str) -> None:
        super().__init__(_SENTENCES.get(state, _SENTENCES[""]))
        self.sale_id = sale_id


class Entry:
    """The places with which an order is placed. `leave` gives them back, where nothing was ordered."""

    def __init__(self, key: UUID) -> None:
        self._key = str(key)
        self._entered: list[tuple[Room, str]] = []

    def enter(self, sale_ids: Collection[int], shown: Collection[str]) -> None:
        """Use the places of these sales among the tokens that were shown, where a waiting room asks for one.

        Raises:
            NotAdmitted: see there; no place is used.
        """
        try:
            for sale_id in sorted(sale_ids):
                self._enter(sale_id, shown)
        except NotAdmitted:
            self.leave()
            raise

    def _enter(self, sale_id: int, shown: Collection[str]) -> None:
        room = rooms.find(sale_id)
        if room is None:
            return
        token = tokens.find(shown, sale_id=sale_id)
        try:
            if not admission.look(room).asks_for_places:
                return
            if token is None:
                raise NotAdmitted(sale_id, "")
            self._use(room, token)
        except (admission.Unreachable, *admission.UNREACHABLE):
            self._by_signature(room, token)

    def leave(self) -> None:
        """Give the places back: nothing was ordered, and they are admitted for as long as before."""
        for room, place in self._entered:
            with suppress(*admission.UNREACHABLE):
                scripts.leave(room, place=place, key=self._key, epoch=uuid.uuid4().hex)

    def _use(self, room: Room, token: tokens.Token) -> None:
        epoch = uuid.uuid4().hex
        state = scripts.enter(room, place=token.place, key=self._key, epoch=epoch)
        if state == "unknown":  # Redis has lost it
            shown = (token.place, token.number, token.until_ms)
            scripts.take(room, owner="", gives=False, fresh="", shown=shown, epoch=epoch)
            state = scripts.enter(room, place=token.place, key=self._key, epoch=epoch)
        if state:
            raise NotAdmitted(room.sale_id, state)
        self._entered.append((room, token.place))

    def _by_signature(self, room: Room, token: tokens.Token | None) -> None:
        """Without Redis: whoever was admitted holds that in writing, and stock is PostgreSQL's in any case."""
        if room.mode == WaitingMode.AUTO and token is None:
            return  # whether it asks for places is not known
        if token is None or token.until_ms <= time.time() * 1000:
            raise NotAdmitted(room.sale_id, "waiting" if token else "")
        log.warning("a place of sale %d is believed by its signature alone: Redis is unavailable", room.sale_id)
