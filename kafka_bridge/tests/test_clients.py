"""What the clients' settings bring about, as the brokers understand them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from kafka_bridge import catalogue, registry, runner, testing
from kafka_bridge.tests import members

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.kafka, pytest.mark.usefixtures("kafka")]


def test_all_facts_about_an_order_go_to_one_member(
    make_group: Callable[[str], registry.Group], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, group_protocol="consumer")
    monkeypatch.delitem(registry._groups, "notifications")
    group = make_group("notifications")
    for event in (catalogue.OrderCreated, catalogue.PaymentFailed):
        group.on(event)(lambda _: None)

    def partitions(member: runner.Runner, topic: str) -> set[int]:
        return {number for name, number in member.assigned if name.endswith(topic)}

    with members.running(group) as one, members.running(group) as other:
        testing.wait_until(
            lambda: one.assigned and other.assigned and len(one.assigned | other.assigned) == 6
            and all(partitions(each, "orders.events") == partitions(each, "payments.events") for each in (one, other)),
            what="the same partitions of both topics",
            timeout_seconds=60,
        )  # fmt: skip
