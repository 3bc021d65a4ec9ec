"""Health."""

import dataclasses
import socket
from typing import Any

import pytest
from django.test import Client


def test_alive_asks_nobody(client: Client) -> None:
    # Without the database mark, a query would fail this test.
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.django_db
def test_ready_without_kafka_is_degraded_but_ready(admin_client: Client, settings: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening: connections are refused
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, bootstrap_servers=address)
        response = admin_client.get("/readyz")
    answer = response.json()
    assert (response.status_code, answer["status"]) == (200, "degraded")
    assert {name: check["ok"] for name, check in answer["checks"].items()} == {
        "postgresql": True, "redis": True, "kafka": False, "mail": True,
    }  # fmt: skip
    assert answer["checks"]["kafka"]["error"] == "ConnectionRefusedError"


@pytest.mark.django_db
def test_ready_with_all_three(admin_client: Client, settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:
        address = f"127.0.0.1:1,127.0.0.1:{broker.getsockname()[1]}"
        settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, bootstrap_servers=address)
        assert admin_client.get("/readyz").json()["status"] == "ok"
