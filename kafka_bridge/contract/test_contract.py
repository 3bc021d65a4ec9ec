"""`pytest --pyargs kafka_bridge.contract`: each promise is a test, against the project's test database and brokers."""

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import pytest

from kafka_bridge.contract import promises, stage
from kafka_bridge.pytest_plugin import VARIABLE


@pytest.fixture
def opened(transactional_db: None, settings: Any, pytestconfig: pytest.Config) -> Iterator[stage.Stage]:
    """A stage for one promise; on the brokers that are named for tests, or those of the settings."""
    if servers := pytestconfig.getoption("--kafka-servers", default="") or os.environ.get(VARIABLE):
        settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, bootstrap_servers=servers)
    if reason := stage.why_not():
        pytest.fail(reason, pytrace=False)
    with stage.opened() as found:
        yield found


@pytest.mark.parametrize("promise", promises.PROMISES, ids=lambda promise: promise.hold.__name__)
def test_promise(opened: stage.Stage, promise: promises.Promise) -> None:
    promise.hold(opened)
