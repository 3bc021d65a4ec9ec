"""What is said to somebody in a waiting room: one renderer for the page and the JSON form."""

import math
from dataclasses import dataclass

from shop.waiting_room.admission import Phase, Snapshot
from shop.waiting_room.places import Place
from shop.waiting_room.rooms import Room


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """A heading and a sentence or two."""

    heading: str
    sentence: str


def words_for(room: Room, snapshot: Snapshot, place: Place | None) -> Words:
    """How it stands for this visitor."""
    if place is None:
        return _without_place(room, snapshot)
    match place.state:
        case "before":
            return Words(
                heading="You have a place",
                sentence="When the sale starts, everybody who is here by then is drawn. It makes no difference who "
                "came first. This page then shows how many are before you.",
            )
        case "waiting":
            return Words(heading=_ahead(place.ahead or 0), sentence=_waiting(snapshot, place.ahead or 0))
        case "admitted":
            return Words(
                heading="It is your turn",
                sentence="A copy can be yours: order it now. If you do not, your chance goes to the next one in the "
                "queue. Only your order sets a copy aside for you.",
            )
        case "buying":
            return Words(heading="Your order is on its way", sentence="One place is for one order.")
        case "bought":
            return Words(heading="You have ordered", sentence="One place is for one order. Thank you for waiting.")
        case "failed":
            return Words(
                heading="Your order got no copy",
                sentence="It was cancelled. You can ask for a new place, behind those who wait now.",
            )
        case "passed":
            return Words(
                heading="Your time to order has run out",
                sentence="Your chance went to the next one. You can ask for a new place, behind those who wait now.",
            )
        case "told":
            return Words(
                heading="Sold out",
                sentence="The last copy is sold, so the queue has ended. We are sorry that you waited in vain.",
            )
        case "free":
            return Words(
                heading="There is no need to wait",
                sentence="There are copies for everybody who has asked so far. Order while there are.",
            )
    return Words(heading="The sale is over", sentence="The queue has ended with it.")


def estimate_seconds(snapshot: Snapshot, place: Place | None) -> int | None:
    """In how many seconds it is this place's turn if it goes on as in the last minute; None if that cannot be said."""
    if place is None or place.ahead is None or not snapshot.rate or snapshot.phase is not Phase.OPEN:
        return None
    if place.ahead >= can_come(snapshot):
        return None
    return math.ceil((place.ahead + 1) * 60 / snapshot.rate)


def can_come(snapshot: Snapshot) -> int:
    """Copies that are not sold for good; all that those who wait could still get."""
    return max(0, snapshot.free + snapshot.held)


def _ahead(ahead: int) -> str:
    if ahead == 0:
        return "You are next"
    return "One person is before you" if ahead == 1 else f"{ahead:,} people are before you"


def _waiting(snapshot: Snapshot, ahead: int) -> str:
    if snapshot.phase is Phase.PAUSED:
        return "The shop has paused the queue. Your place is kept."
    if snapshot.phase is Phase.MENDING:
        return "The queue is put together again after a failure. Your place is kept; nobody is admitted meanwhile."
    left = can_come(snapshot)
    copies = "one copy is" if left == 1 else f"{left:,} copies are"
    if ahead >= left:
        return (
            f"Only {copies} not sold yet, and at least as many people wait before you. You get one only if enough of "
            "them do not buy. You are told at once when the last copy is sold."
        )
    return (
        f"{copies.capitalize()} not sold yet, and others are ordering or paying for them. You are admitted as soon as "
        "one comes back to you."
    )


def _without_place(room: Room, snapshot: Snapshot) -> Words:
    match snapshot.phase:
        case Phase.CLOSED:
            return Words(heading="Not open yet", sentence="Places are given shortly before the sale starts.")
        case Phase.BEFORE:
            return Words(
                heading="Ask for a place",
                sentence="When the sale starts, everybody with a place is drawn: being early is no advantage.",
            )
        case Phase.IDLE:
            return Words(
                heading="There is no need to wait",
                sentence="There are copies for everybody who has asked so far. A place helps if that changes.",
            )
        case Phase.OVER:
            return Words(heading="Sold out", sentence="The last copy is sold, and the queue has ended.")
        case Phase.ENDED:
            return Words(heading="The sale is over", sentence="The queue has ended with it.")
    return Words(
        heading="Ask for a place",
        sentence="More people want a copy than there are, so they are admitted one after the other. You can close this "
        "page and come back: your place is kept.",
    )
