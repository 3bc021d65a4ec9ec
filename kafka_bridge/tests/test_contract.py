"""The contract, run as its users run it: against the embedded broker, a real one, and where something is missing."""

import dataclasses
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from devtools.testing.processes import kafka_environment
from devtools.testing.services import Services
from kafka_bridge import BridgeSettings
from kafka_bridge.models import DeadLetter, InboxRow, OutboxRow, ParkedMessage
from kafka_bridge.runtime import clients

pytestmark = pytest.mark.slow


def run(services: Services, options: BridgeSettings, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of the contract against the test database and these brokers."""
    database = str(connection.settings_dict["NAME"])
    done = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "kafka_bridge.contract", "--json", *arguments],
        cwd=django_settings.BASE_DIR,
        env={**os.environ, **kafka_environment(options), "DATABASE_URL": services.postgres.url(database)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=300,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


def kept(services: Services, options: BridgeSettings) -> None:
    """Every promise is kept, and nothing but a closed letter is left."""
    code, report = run(services, options)
    assert (code, [each for each in report["promises"] if not each["kept"]]) == (0, [])
    assert len(report["promises"]) == 6
    assert not (OutboxRow.objects.exists() or InboxRow.objects.exists() or ParkedMessage.objects.exists())
    assert [letter.state for letter in DeadLetter.objects.all()] == [DeadLetter.State.RESOLVED]


@pytest.mark.prove(long=True)
def test_on_the_embedded_broker(services: Services, embedded_kafka: BridgeSettings) -> None:
    kept(services, embedded_kafka)


@pytest.mark.kafka
def test_on_a_real_broker(services: Services, kafka: Any, transactional_db: None, settings: Any) -> None:
    kept(services, settings.KAFKA_BRIDGE)
    left = [name for name in clients.admin().list_topics(timeout=10).topics if "contract-" in name]
    assert left == []


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("atomic", "1 passed, 5 deselected"),
        pytest.param("atomic or killed", "2 passed, 4 deselected", marks=pytest.mark.prove(long=True)),
    ],
)
def test_as_tests(chosen: str, said: str, services: Services, embedded_kafka: BridgeSettings) -> None:
    database = str(connection.settings_dict["NAME"]).removeprefix("test_")
    done = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "pytest", "--pyargs", "kafka_bridge.contract", "-q", "-o", "addopts=",
         "-p", "kafka_bridge.pytest_plugin", "-p", "no:cacheprovider", "-k", chosen,
         "--kafka-servers", embedded_kafka.bootstrap_servers],
        cwd=django_settings.BASE_DIR,
        env={
            **os.environ,
            **kafka_environment(embedded_kafka),
            "DATABASE_URL": services.postgres.url(f"contract_{database}"),
        },
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert said in done.stdout


def test_it_refuses_politely_without_brokers(services: Services, transactional_db: None, settings: Any) -> None:
    nowhere = dataclasses.replace(settings.KAFKA_BRIDGE, bootstrap_servers="127.0.0.1:1")
    code, report = run(services, nowhere)
    assert code == 2
    assert report["why"].startswith("No broker answers at 127.0.0.1:1")


def test_it_refuses_politely_without_settings(services: Services, transactional_db: None, settings: Any) -> None:
    code, report = run(services, settings.KAFKA_BRIDGE, "--settings", "kafka_bridge.tests.no_settings")
    assert code == 2
    assert "no_settings" in report["why"]
