"""What the clients' settings bring about, as the brokers understand them."""

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from devtools.testing.bridge import group_members
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.consuming import registry, runner
from kafka_bridge.runtime import clients


@pytest.mark.django_db(transaction=True)
@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
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

    with group_members.running(group) as one, group_members.running(group) as other:
        testing.wait_until(
            lambda: one.assigned and other.assigned and len(one.assigned | other.assigned) == 6
            and all(partitions(each, "orders.events") == partitions(each, "payments.events") for each in (one, other)),
            what="the same partitions of both topics",
            timeout_seconds=60,
        )  # fmt: skip


@pytest.mark.parametrize("make", [lambda: clients.consumer(group="nobody"), clients.producer])
def test_that_no_broker_answers_is_logged_once_and_not_with_every_try(
    make: Callable[[], Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "REPEAT_SECONDS", 2.0)
    client, begun = make(), time.monotonic()
    while time.monotonic() - begun < 6:
        client.poll(0.1)
    refused = [message for message in caplog.messages if "Connection refused" in message]
    assert 1 < len(refused) <= 4, "again after two seconds, and not twenty times a second"


def test_a_complaint_with_another_figure_is_the_same_complaint() -> None:
    seen = clients.NotAgain()
    told = "REQTMOUT [c#producer-1] [thrd:{n}]: {n}: Timed out 1 in-flight request: disconnect (average rtt {rtt}ms)"
    records = [logging.makeLogRecord({"msg": told.format(n="127.0.0.1:9092/1", rtt=rtt)}) for rtt in (501.3, 9.7)]
    assert [bool(seen.filter(record)) for record in records] == [True, False]
