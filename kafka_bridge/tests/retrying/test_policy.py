"""How often a message is tried, and who says so."""

from collections.abc import Callable

from devtools.testing.bridge.bridge_events import created, delivered
from events import catalogue
from kafka_bridge.consuming import registry
from kafka_bridge.retrying import policy
from kafka_bridge.retrying.policy import RetryPolicy
from kafka_bridge.runtime import clients

MakeGroup = Callable[[str], registry.Group]


def test_policies_are_those_of_the_handler_then_the_group_then_the_settings(make_group: MakeGroup) -> None:
    own, groups_own = RetryPolicy(attempts=1), RetryPolicy(attempts=7, delays_seconds=())
    usual = make_group("usual")
    usual.on(catalogue.OrderCreated)(lambda _: None)
    usual.on(catalogue.OrderDelivered, retry=own)(lambda _: None)
    special = registry.Group("special", retry=groups_own)
    try:
        special.on(catalogue.OrderCreated)(lambda _: None)
        assert special.policy(created()) == groups_own
    finally:
        del registry._groups["special"]
    assert usual.policy(created()) == policy.from_settings(clients.conf())
    assert usual.policy(delivered()) == own
    assert str(groups_own) == "7 in place"
    assert str(RetryPolicy()) == "3 in place, then after 5, 30, 120 s"


def test_pauses_double_and_rounds_end() -> None:
    policy = RetryPolicy(attempts=3, backoff_seconds=1, delays_seconds=(5, 30))
    second = policy.pause(2)
    assert second is not None and 1.5 <= second <= 2.5
    assert policy.pause(3) is None
    last = policy.delay(2)
    assert last is not None and 22.5 <= last <= 37.5
    assert policy.delay(3) is None
