"""R3: the judge of a simulated waiting room finds what was not as it was promised."""

import uuid
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from shop.simulation import buyers
from shop.simulation.buyers import SalePlan
from shop.simulation.queueing import judging
from shop.simulation.queueing.crowd import Waiter
from shop.simulation.queueing.sockets import Heard
from shop.waiting_room.feeds import RoomState

pytestmark = pytest.mark.rush


def heard(at: float, served: int, served_to: int) -> Heard:
    """So many were admitted by then."""
    numbers: dict[str, Any] = dict.fromkeys(("restored", "waiting", "admitted", "free", "held", "sold", "over_ms"), 0)
    said = {"served": served, "served_at_ms": round(at * 1000), "served_to": served_to, **numbers}
    return Heard(at + 0.1, RoomState(phase="open", epoch=uuid.uuid4().hex, **said))


def waiter(number: int, ahead: int, served: int) -> Waiter:
    """One who was told so many were before them, and was admitted."""
    [buyer] = buyers.generate(SalePlan(buyers=1))
    found = Waiter(buyer=buyer, is_idle=False)
    found.number, found.ahead, found.served, found.admitted_at = number, ahead, served, 3.0
    return found


def test_who_was_admitted_before_or_after_their_turn_is_found() -> None:
    said = [heard(1, 2, 20), heard(2, 3, 30), heard(3, 5, 50)]
    kept = [waiter(20, 1, 0), waiter(30, 0, 2), waiter(40, 1, 2), waiter(50, 2, 2)]
    assert list(judging.broken_promises(kept, said)) == []
    [problem] = judging.broken_promises([*kept, waiter(30, 2, 2), waiter(50, 0, 2)], said)
    assert problem.startswith("2 waiters were not admitted in their turn")


def test_each_copy_that_comes_back_is_followed_by_an_admission() -> None:
    said = [(2, 1.0), (3, 4.0), (5, 7.5)]
    assert judging.next_after_return([3.5, 7, 7.25, 9], said, at_once=2) == [0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--idle", "95"], "--idle takes a number"),
        (["--sockets", "0"], "--sockets takes a number"),
        (["--slack", "0.5"], "--slack takes a factor"),
        (["--compare"], "has no waiting room"),
        (["--pass", "0"], "--pass takes a number"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words) as refused:
        call_command("simulate_flash_sale", "--queue", *options, stdout=StringIO())
    assert refused.value.returncode == 2
