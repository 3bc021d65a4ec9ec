"""R3: the queue's invariants, on a real Redis: nobody is admitted in vain, out of turn, or after the last copy."""

import random
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_redis import get_redis_connection

from shop.waiting_room import draw, scripts
from shop.waiting_room.rooms import Room

pytestmark = pytest.mark.rush
HOUR = timedelta(hours=1)
SEEDS = range(20)
STEPS = 200


def a_room(*, starts_in: timedelta = -HOUR, **fields: Any) -> Room:
    """A room that needs no database."""
    starts_at = timezone.now() + starts_in
    known: dict[str, Any] = {
        "sale_id": 7, "name": "Rush", "mode": "on", "starts_at": starts_at, "ends_at": starts_at + 4 * HOUR,
        "pass_seconds": 180, "seed": draw.new_seed(), "has_places": False, "is_drawn": False, "is_paused": False,
    }  # fmt: skip
    return Room(**known | fields)


def take(room: Room, owner: str = "", *, gives: bool = True, shown: tuple[str, int, int] | None = None) -> scripts.Held:
    """A place, as the page asks for it."""
    fresh = secrets.token_hex(16)
    return scripts.take(room, owner=owner, gives=gives, fresh=fresh, shown=shown, epoch=secrets.token_hex(16))


def look(room: Room, held: scripts.Held) -> scripts.Held:
    """The same place again, by what its token says."""
    return take(room, gives=False, shown=(held.place, held.number, held.until_ms))


def turn(room: Room, free: int, held: int = 0, sold: int = 0, decided: Any = ()) -> bool:
    """A turn on what Redis has now."""
    meta, _, _, _ = scripts.read(room.sale_id)
    based_on = meta.get("turn", "")
    return scripts.turn(room, based_on=based_on, decided=list(decided), units=(free, held, sold), epoch="e" * 32)


@dataclass
class Shop:
    """What PostgreSQL would say, and what a random sale does to it."""

    units: int
    picker: random.Random
    held: int = 0
    sold: int = 0
    pending: dict[str, str] = field(default_factory=dict)
    decided: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def free(self) -> int:
        return self.units - self.held - self.sold

    def click(self, room: Room) -> None:
        """Somebody who may be admitted orders."""
        admitted = get_redis_connection("default").zrange(scripts.keys_of(room.sale_id)[2], 0, -1)
        if admitted:
            place, key = self.picker.choice(admitted).decode(), secrets.token_hex(16)
            if scripts.enter(room, place=place, key=key, epoch="e") == "":
                self.pending[place] = key

    def decide(self) -> None:
        """Inventory holds a copy for an order."""
        if self.pending:
            place = self.picker.choice(sorted(self.pending))
            assert self.free > 0, "nobody was admitted in vain"
            self.held += 1
            self.decided[place] = (self.pending.pop(place), "bought")

    def settle(self) -> None:
        """A payment succeeds, or its copy comes back."""
        if self.held:
            self.held -= 1
            self.sold += self.picker.random() < 0.7

    def expire(self, room: Room) -> None:
        """Somebody's time to order runs out."""
        client, key = get_redis_connection("default"), scripts.keys_of(room.sale_id)[2]
        if admitted := client.zrange(key, 0, -1):
            client.zadd(key, {self.picker.choice(admitted): 1})


@pytest.mark.parametrize("seed", SEEDS)
def test_at_no_moment_are_more_admitted_than_copies_could_be_theirs(seed: int) -> None:
    """Also where a turn is based on what was read some steps before, and where others come in between."""
    picker = random.Random(seed)  # noqa: S311 - to be repeatable
    room, shop = a_room(), Shop(units=6, picker=picker)
    before: tuple[str, dict[str, tuple[str, str]], tuple[int, int, int]] | None = None
    seen_served = 0
    for _ in range(STEPS):
        match picker.randrange(7):
            case 0 | 1:
                take(room)
            case 2:
                shop.click(room)
            case 3:
                shop.decide()
            case 4:
                shop.settle()
            case 5:
                if before is None:
                    meta = scripts.read(room.sale_id)[0]
                    before = (meta.get("turn", ""), dict(shop.decided), (shop.free, shop.held, shop.sold))
                    continue
                based_on, decided, units = before
                before = None
                done = [(place, *found) for place, found in decided.items()]
                scripts.turn(room, based_on=based_on, decided=done, units=units, epoch="e")
            case 6:
                shop.expire(room) if picker.random() < 0.3 else turn(
                    room, shop.free, shop.held, shop.sold, [(place, *found) for place, found in shop.decided.items()]
                )
        meta, undecided, waiting, admitted = scripts.read(room.sale_id)
        assert admitted + len(shop.pending) <= max(shop.free, 0), "somebody was admitted in vain"
        assert shop.pending.keys() <= undecided.keys()
        served = int(meta.get("served", "0"))
        if "over" in meta:
            assert (shop.free, shop.held) == (0, 0) or served == seen_served
        seen_served = served
        ended = get_redis_connection("default").hlen(scripts.keys_of(room.sale_id)[4])
        assert waiting + admitted + len(undecided) + ended == int(meta.get("last", "0")), "each place is in one state"


def test_first_come_first_served_after_the_draw() -> None:
    early = a_room(starts_in=HOUR)
    drawn = [take(early) for _ in range(9)]
    room = a_room(seed=early.seed)
    late = [take(room) for _ in range(3)]
    expected = [*draw.in_sequence(room.seed, [held.place for held in drawn]), *(held.place for held in late)]
    found = sorted([*drawn, *late], key=lambda held: look(room, held).ahead)
    assert [held.place for held in found] == expected
    assert expected != [held.place for held in [*drawn, *late]], "nine places are not drawn in their own sequence"
    for number in range(3):
        assert turn(room, free=number + 1)
    assert [look(room, held).state for held in found] == ["admitted"] * 3 + ["waiting"] * 9
    assert look(room, found[3]).ahead == 0


def test_reloads_tabs_and_reconnects_gain_no_place_and_lose_none() -> None:
    room = a_room()
    first = take(room, "a:ada")
    for _ in range(5):
        assert take(room, "a:ada").place == first.place
        assert take(room, shown=(first.place, first.number, 0)).place == first.place
    guest = take(room)
    assert take(room, "a:bob", shown=(guest.place, guest.number, 0)).place == guest.place, "signed in while waiting"
    assert take(room, "a:bob").place == guest.place
    assert take(room, "a:eve", shown=(guest.place, guest.number, 0)).place != guest.place, "it is bob's"
    assert take(room, "a:ada", shown=(guest.place, guest.number, 0)).place == first.place, "an account has one"
    assert scripts.read(room.sale_id)[2] == 3


def test_one_place_is_for_one_order_and_a_retry_is_the_same_one() -> None:
    room = a_room()
    held = take(room)
    assert scripts.enter(room, place=held.place, key="k1", epoch="e") == "waiting"
    turn(room, free=1)
    assert scripts.enter(room, place=held.place, key="k1", epoch="e") == ""
    assert scripts.enter(room, place=held.place, key="k1", epoch="e") == "", "the same click again"
    assert scripts.enter(room, place=held.place, key="k2", epoch="e") == "buying"
    scripts.leave(room, place=held.place, key="k2", epoch="e")
    assert look(room, held).state == "buying"
    scripts.leave(room, place=held.place, key="k1", epoch="e")
    assert look(room, held).state == "admitted"
    assert scripts.enter(room, place="0" * 32, key="k1", epoch="e") == "unknown"


def test_the_last_copy_sold_ends_the_queue_for_all() -> None:
    room = a_room()
    waiting = [take(room) for _ in range(3)]
    turn(room, free=0, held=1, sold=4)
    assert "over" not in scripts.read(room.sale_id)[0], "a copy that is held may come back"
    turn(room, free=0, held=0, sold=5)
    meta = scripts.read(room.sale_id)[0]
    assert meta["told"] == "3"
    turn(room, free=2, sold=3)
    assert [look(room, held).state for held in waiting] == ["waiting"] * 3, "nobody is admitted afterwards"
    assert take(room).place == ""


def test_a_copy_that_comes_back_admits_the_next_and_a_pause_nobody() -> None:
    room = a_room()
    first, second = take(room), take(room)
    turn(room, free=0, held=1)
    paused = a_room(is_paused=True)
    turn(paused, free=1)
    assert look(room, first).state == "waiting"
    turn(room, free=1)
    assert [look(room, held).state for held in (first, second)] == ["admitted", "waiting"]


def test_by_itself_it_asks_for_places_once_more_want_a_copy_than_there_are() -> None:
    room = a_room(mode="auto")
    for _ in range(2):
        take(room)
    turn(room, free=2)
    assert "active" not in scripts.read(room.sale_id)[0]
    take(room)
    turn(room, free=2)
    assert "active" in scripts.read(room.sale_id)[0]
    turn(room, free=2)
    assert scripts.read(room.sale_id)[3] == 2


def test_redis_lost_in_mid_queue_loses_nobody_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "MEND_SECONDS", 3600)
    early = a_room(starts_in=HOUR)
    drawn = [take(early) for _ in range(6)]
    room = a_room(seed=early.seed, has_places=True)
    everyone = [*drawn, *(take(room) for _ in range(6))]
    turn(room, free=2)
    before = [look(room, held) for held in everyone]
    get_redis_connection("default").flushdb()
    back = list(before)
    random.Random(5).shuffle(back)  # noqa: S311
    for number, held in enumerate(back):
        look(room, held)
        if number == 3:
            assert turn(room, free=2)
            assert scripts.read(room.sale_id)[3] == sum(each.state == "admitted" for each in back[:4])
    after = {held.place: look(room, held) for held in before}
    assert [(held.state, held.ahead) for held in before] == [
        (after[held.place].state, after[held.place].ahead) for held in before
    ]
    assert {held.epoch for held in after.values()} != {before[0].epoch}
    newcomer = take(room)
    assert look(room, newcomer).ahead == 10, "numbers go on after the last one"
