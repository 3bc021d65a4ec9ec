"""`manage.py` commands in processes of their own, on the database, topics and groups of the test."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings as django_settings
from django.db import connection


@contextmanager
def process(*arguments: str, environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """A `manage.py` command in a process of its own; killed if the test leaves it running."""
    started = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "manage.py", *arguments],
        cwd=django_settings.BASE_DIR,
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def environment_of(bridge: Any) -> dict[str, str]:
    """What tells a process of this test's database, topics and groups."""
    database = urlsplit(os.environ["DATABASE_URL"])
    return {
        "DATABASE_URL": urlunsplit(database._replace(path=f"/{connection.settings_dict['NAME']}")),
        "KAFKA_BOOTSTRAP_SERVERS": bridge.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": bridge.topic_prefix,
        "KAFKA_GROUP_PREFIX": bridge.group_prefix,
        "KAFKA_SECURITY_PROTOCOL": bridge.security_protocol,
        "KAFKA_SASL_MECHANISM": bridge.sasl_mechanism,
        "KAFKA_SASL_USERNAME": bridge.sasl_username,
        "KAFKA_SASL_PASSWORD": bridge.sasl_password,
        "KAFKA_SSL_CA_LOCATION": bridge.ssl_ca_location,
    }


def children(pid: int) -> list[int]:
    """Processes whose parent this is."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return [int(line) for line in listed.stdout.split()]
