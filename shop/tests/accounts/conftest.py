"""What tests of accounts share: a mail server, and limits that are full."""

from collections.abc import Iterator
from typing import Any

import pytest
from django_redis import get_redis_connection

from devtools.testing.shop import mail_server
from devtools.testing.shop.mail_server import MailServer
from shop.limits import limits


@pytest.fixture(autouse=True)
def nothing_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test begins with all limits full."""
    monkeypatch.setattr(limits, "_backoff_until", 0.0)
    get_redis_connection("default").flushdb()
    yield
    get_redis_connection("default").flushdb()


@pytest.fixture
def server(settings: Any) -> Iterator[MailServer]:
    """The shop's mail server."""
    with mail_server.serving(settings) as state:
        yield state
