"""O4: what happens to an order is one trace, over all processes; and where traces cannot go, nobody waits for them."""

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from devtools.testing import otlp_receiver
from devtools.testing.otlp_receiver import Receiver, Span
from devtools.testing.processes import Shop
from devtools.testing.shop import buyers as buying
from devtools.testing.shop.buyers import CONTACT

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.operations, pytest.mark.together]
TRACED = ("web", "live", "relay", "orders", "inventory", "payments", "shipping", "notifications", "analytics")
STRANGER = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"


@pytest.fixture
def back_end(running_shop: Shop) -> Iterator[Receiver]:
    """Where the shop's traces go; afterwards its processes are without traces again."""
    with otlp_receiver.receiving() as receiver:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        running_shop.environment.update(variables)
        try:
            running_shop.restart(*TRACED)
            yield receiver
        finally:
            for name in variables:
                del running_shop.environment[name]
            # Whoever needs them starts them, without traces.
            running_shop.stop(*TRACED)


def place(shop: Shop) -> dict[str, Any]:
    """An order, as a browser that has a trace of its own would place it."""
    body = CONTACT | {
        "idempotency_key": str(uuid.uuid4()),
        "lines": [{"sku": buying.most_of(shop), "quantity": 1}],
        "payment_method": "pm_success",
    }
    response = httpx.post(f"{shop.url}/api/orders/", json=body, headers={"traceparent": STRANGER}, trust_env=False)
    assert response.status_code == 201, response.text
    placed: dict[str, Any] = response.json()
    return placed


def watch_until_delivered(shop: Shop, placed: dict[str, Any]) -> None:
    """Have the order's page open for as long as something happens."""
    with connect(placed["live_url"], origin=cast(Origin, shop.url), proxy=None) as socket:
        while '"DELIVERED"' not in str(socket.recv(timeout=60)):
            pass


def test_an_orders_story_is_one_tree_from_the_click_to_the_page(running_shop: Shop, back_end: Receiver) -> None:
    running_shop.stop("inventory")  # until the page is open
    placed = place(running_shop)
    running_shop.start("inventory")
    watch_until_delivered(running_shop, placed)
    trace_id = uuid.UUID(placed["order"]).hex
    spans: list[Span] = []

    def named(name: str, service: str) -> list[Span]:
        return [span for span in spans if (span.name, span.service) == (name, service)]

    def has_come() -> bool:
        nonlocal spans
        spans = back_end.spans_of(trace_id)
        ids = {span.span_id for span in spans}
        # Each process sends its own when it likes: children may come before their parents.
        return (
            len(named("send mail", "notifications")) == 3
            and bool(named("process order.delivered", "analytics"))
            and all(span.parent_id in ids or not span.parent_id for span in spans)
        )

    running_shop.wait_until(has_come, what="the whole tree", timeout_seconds=60)
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans)

    def way_to(span: Span) -> list[str]:
        """The names from the root to this one."""
        above = way_to(by_id[span.parent_id]) if span.parent_id else []
        return [*above, f"{span.service}: {span.name}"]

    # One tree: each has a parent that is there, up to the click.
    assert {way_to(span)[0] for span in spans} == {"web: POST /api/orders/"}
    [click] = [span for span in spans if not span.parent_id]
    assert click.links == ["ab" * 16]
    assert click.attributes["http.response.status_code"] == 201
    to_payment = [
        "web: POST /api/orders/",
        "relay: send order.created",
        "inventory: process order.created",
        "relay: send inventory.reserved",
        "payments: process inventory.reserved",
    ]
    assert [way_to(span) for span in named("gateway requested", "payments")] == [
        [*to_payment, "payments: gateway requested"]
    ]
    [confirmed] = named("process payment.confirmed", "orders")
    assert way_to(confirmed) == [*to_payment, "relay: send payment.confirmed", "orders: process payment.confirmed"]
    [mail] = [span for span in spans if span.attributes.get("bookrush.mail.kind") == "confirmed"]
    assert way_to(mail)[-3:] == [
        "relay: send order.confirmed",
        "notifications: process order.confirmed",
        "notifications: send mail",
    ]
    pushed = [way_to(span)[-2] for span in named("push to page", "live")]
    assert "orders: process payment.confirmed" in pushed
    check_attributes(running_shop, confirmed)


def check_attributes(shop: Shop, handling: Span) -> None:
    """They are OpenTelemetry's names, and say where Kafka has the message."""
    event_id = handling.attributes["messaging.message.id"]
    [(topic, partition, offset)] = shop.query(
        'SELECT topic, partition, "offset" FROM kafka_bridge_outboxrow WHERE event_id = %s', event_id
    )
    prefix = shop.environment["KAFKA_TOPIC_PREFIX"]
    assert (
        handling.attributes.items()
        >= {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": prefix + topic,
            "messaging.destination.partition.id": str(partition),
            "messaging.kafka.offset": offset,
            "messaging.consumer.group.name": f"{prefix}orders",
            "cloudevents.event_type": "payment.confirmed",
        }.items()
    )


RECORD = """
import django, time, uuid
django.setup()
from kafka_bridge.telemetry import tracing
began = time.perf_counter()
for _ in range(20_000):
    story = uuid.uuid4()
    with tracing.timed("work", "INTERNAL", story, tracing.NO_PARENT, {}):
        pass
print(time.perf_counter() - began, flush=True)
"""


def test_a_back_end_that_never_answers_keeps_nobody_waiting() -> None:
    """Connections to it open, and that is all: most spans are dropped, and the process ends as soon as it should."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }
        with subprocess.Popen(  # noqa: S603 - our own lines
            [sys.executable, "-c", RECORD], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout and process.stderr
            recording, ended_from = float(process.stdout.readline()), time.monotonic()
            said = process.stderr.read()
        ending = time.monotonic() - ended_from
    assert process.returncode == 0, said
    # Half a millisecond a span, and a second and a half for the last ones, on a machine that is as busy as can be.
    assert recording < 10
    assert ending < 8
    # What is dropped is said, but not each time.
    assert len(said.splitlines()) < 50
