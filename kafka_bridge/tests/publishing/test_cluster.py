"""Three real brokers, killed under a relay and a consumer: nothing that was stated is lost, doubled or out of order."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devtools.testing.bridge.group_members import running
from devtools.testing.bridge.kafka_logs import leader_of
from devtools.testing.bridge.order_stream import OrderStream, orders_coming_in, start_order_stream
from devtools.testing.bridge.relays import running_relay
from kafka_bridge import testing
from kafka_bridge.consuming import registry

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.together,
]


@pytest.fixture
def sea(
    brokers: Any, make_group: Callable[[str], registry.Group], monkeypatch: pytest.MonkeyPatch
) -> Iterator[OrderStream]:
    """A relay, a member of a group, and orders to be stated."""
    group, sea = start_order_stream(make_group, monkeypatch)
    with running_relay(), running(group):
        yield sea


@pytest.mark.prove(long=True)
def test_each_broker_killed_in_turn_and_then_two_at_once(sea: OrderStream, brokers: Any) -> None:
    """FAILURES 19 and 20: with one broker gone work goes on; with two it waits, and nobody who orders notices."""
    with orders_coming_in(sea):
        sea.wait_until_heard()
        for broker in brokers.brokers:
            brokers.kill(broker)
            sea.wait_until_heard()
            brokers.start(broker)
        brokers.kill(1, 2)
        before = len(sea.orders)
        testing.wait_until(lambda: len(sea.orders) >= before + 100, what="orders without a majority of brokers")
        brokers.start(1, 2)
        sea.wait_until_heard()
    sea.drain()
    sea.assert_each_once_and_in_sequence()
    assert sea.longest_seconds < 5, "whoever orders must not wait for Kafka"


@pytest.mark.parametrize("times", [1, pytest.param(6, marks=pytest.mark.prove(long=True))])
def test_the_leader_killed_again_and_again(
    sea: OrderStream, brokers: Any, request: pytest.FixtureRequest, times: int
) -> None:
    """FAILURES 20: nothing acknowledged is lost. `--seeds N` kills it N times."""
    with orders_coming_in(sea):
        for _ in range(request.config.getoption("--seeds") or times):
            sea.wait_until_heard()
            leader = leader_of()
            brokers.kill(leader)
            testing.wait_until(lambda: leader_of() not in (leader, -1), what="a new leader", timeout_seconds=60)  # noqa: B023
            sea.wait_until_heard()
            brokers.start(leader)
    sea.drain()
    sea.assert_each_once_and_in_sequence()


def test_the_leader_frozen_and_thawed(sea: OrderStream, brokers: Any) -> None:
    """FAILURES 6: answers that come too late or never; rows of a key wait for their turn, and nothing is left out."""
    with orders_coming_in(sea):
        sea.wait_until_heard()
        leader = leader_of()
        brokers.pause(leader)
        try:
            testing.wait_until(lambda: leader_of() not in (leader, -1), what="a new leader", timeout_seconds=90)
            sea.wait_until_heard()
        finally:
            brokers.resume(leader)
        sea.wait_until_heard()
    sea.drain()
    sea.assert_each_once_and_in_sequence()
