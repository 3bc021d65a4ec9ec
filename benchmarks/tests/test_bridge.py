"""What is reckoned from the transactions of a runner."""

import threading
from collections.abc import Callable, Sequence

import pytest

from benchmarks.measured import bridge
from kafka_bridge.believing import refusals
from kafka_bridge.consuming import consumer_process, inbox, registry


@pytest.fixture
def member() -> consumer_process.ConsumerProcess:
    """A member that never joins its group."""
    return consumer_process.ConsumerProcess(registry.find("inventory"), threading.Event())


def test_a_way_is_compared_by_what_an_event_takes_not_by_how_many_there_were() -> None:
    meter = bridge.Meter(enough=1, stop=threading.Event())
    meter.transactions = {
        "usual": [(1.0, 500), (1.0, 500), (0.5, 250)],
        "unparked": [(1.0, 500)],
        "plain": [(0.9, 500), (0.45, 250), (0.9, 500), (0.9, 500), (60.0, 500)],  # the machine was busy once
    }
    assert meter.rate == 500
    assert meter.against("unparked") == 1
    assert meter.against("plain") == pytest.approx(0.9)
    assert meter.batch == pytest.approx(4000 / 9)


def test_the_ways_take_turns(member: consumer_process.ConsumerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = inbox.take_unless_parked, refusals.sift
    monkeypatch.setattr(inbox, "take_unless_parked", usual[0])  # restored even if this test fails
    monkeypatch.setattr(refusals, "sift", usual[1])
    meter = bridge.Meter(enough=30, stop=threading.Event(), member=member)
    seen: list[tuple[Callable[..., Sequence[object]], ...]] = []
    while not meter.stop.is_set():
        member.runner.handled += 5
        meter.mark()
        seen.append((inbox.take_unless_parked, refusals.sift))
    assert seen[:5] == [*bridge._WAYS.values(), usual]
    assert {variant: [events for _, events in took] for variant, took in meter.transactions.items()} == {
        "usual": [5, 5], "unparked": [5], "plain": [5], "trusting": [5],
    }  # fmt: skip


def test_a_transaction_without_news_is_nobodys_turn(
    member: consumer_process.ConsumerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "take_unless_parked", inbox.take_unless_parked)
    meter = bridge.Meter(enough=30, stop=threading.Event(), member=member)
    for more in (5, 0, 0, 5):
        member.runner.handled += more
        meter.mark()
    assert sum(map(len, meter.transactions.values())) == 1
