"""`pytest --pyargs kafka_bridge.contract`: each promise is a test, against the project's test database and brokers."""

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from kafka_bridge.contract import promises, stage
from kafka_bridge.pytest_plugin import VARIABLE


@pytest.fixture(scope="module")
def opened(django_db_setup: None, django_db_blocker: Any, pytestconfig: pytest.Config) -> Iterator[stage.Stage]:
    """One stage for all promises; on the brokers that are named for tests, or those of the settings."""
    servers = pytestconfig.getoption("--kafka-servers", default="") or os.environ.get(VARIABLE)
    before = settings.KAFKA_BRIDGE
    with django_db_blocker.unblock():
        if servers:
            settings.KAFKA_BRIDGE = dataclasses.replace(before, bootstrap_servers=servers)
        try:
            with stage.opened() as found:
                yield found
        except stage.CannotRun as error:
            pytest.fail(str(error), pytrace=False)
        finally:
            settings.KAFKA_BRIDGE = before


@pytest.mark.parametrize("promise", promises.PROMISES, ids=lambda promise: promise.hold.__name__)
def test_promise(opened: stage.Stage, promise: promises.Promise) -> None:
    promise.hold(opened)
