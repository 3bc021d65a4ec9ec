"""Fixtures for tests of a project that uses the bridge; pytest finds them when the package is installed.

| fixture | what it is |
|---|---|
| `memory_broker` | topics in memory; `drain()` relays and delivers until nothing is left; no threads, no waiting |
| `embedded_kafka` | librdkafka's own broker in a process of its own; `settings.KAFKA_BRIDGE` points to it |
| `external_kafka` | the brokers of `--kafka-servers`, with topics and groups of the test's own, deleted afterwards |
| `kafka_servers` | their addresses; a test that asks for them is skipped where there are none |

With all but the last one, PostgreSQL is the test database of pytest-django, with real transactions.
"""

import dataclasses
import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from kafka_bridge import BridgeSettings, testing

VARIABLE = "KAFKA_BRIDGE_TEST_SERVERS"
_INI = "kafka_servers"
_HELP = "the brokers that external_kafka uses, host:port, several with commas"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--kafka-servers` and its twin in the configuration."""
    parser.getgroup("kafka bridge").addoption("--kafka-servers", metavar="SERVERS", help=f"{_HELP} (or {VARIABLE})")
    parser.addini(_INI, _HELP, default="")


@pytest.fixture(scope="session")
def kafka_servers(pytestconfig: pytest.Config) -> str:
    """The addresses of real brokers: from the command line, the environment, or the configuration, in that order."""
    found = pytestconfig.getoption("--kafka-servers") or os.environ.get(VARIABLE) or pytestconfig.getini(_INI)
    if not found:
        pytest.skip(f"no brokers are named: --kafka-servers, {VARIABLE}, or {_INI} in the configuration")
    return str(found)


@pytest.fixture
def memory_broker(transactional_db: None) -> "testing.MemoryBroker":
    """Topics in memory, and every registered group consuming them."""
    return testing.MemoryBroker()


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator["testing.EmbeddedBroker"]:
    """The embedded broker itself, one for the whole run."""
    try:
        with testing.EmbeddedBroker() as broker:
            yield broker
    except testing.NoEmbeddedBroker as error:
        pytest.skip(str(error))


@pytest.fixture
def embedded_kafka(
    embedded_broker: "testing.EmbeddedBroker", transactional_db: None, settings: Any
) -> Iterator[BridgeSettings]:
    """The embedded broker with topics and groups of this test's own; `settings.KAFKA_BRIDGE` names them.

    One member of a group at a time: the broker is weak at rebalancing.
    """
    yield from _own(settings, bootstrap_servers=embedded_broker.bootstrap_servers, group_protocol="classic")


@pytest.fixture
def external_kafka(kafka_servers: str, transactional_db: None, settings: Any) -> Iterator[BridgeSettings]:
    """Real brokers with topics and groups of this test's own; `settings.KAFKA_BRIDGE` names them."""
    yield from _own(settings, bootstrap_servers=kafka_servers)


def _own(settings: Any, **changes: Any) -> Iterator[BridgeSettings]:
    """Names that no other test has, and topics of these names; they are gone afterwards."""
    prefix = f"test-{uuid.uuid4().hex[:8]}."
    before: BridgeSettings = settings.KAFKA_BRIDGE
    own = dataclasses.replace(before, topic_prefix=prefix, group_prefix=prefix, **changes)
    settings.KAFKA_BRIDGE = own
    testing.make_topics()
    yield own
    settings.KAFKA_BRIDGE = own
    testing.delete_topics_and_groups(prefix)
