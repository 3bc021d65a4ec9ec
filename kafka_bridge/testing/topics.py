"""Topics for a test, on brokers of either kind, and their end."""

import contextlib
import time
from collections.abc import Callable, Iterable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from kafka_bridge.runtime import clients, topics
from kafka_bridge.runtime.coordinators.asking import Coordinators

_SECONDS = 30.0


def make_topics(is_wanted: Callable[[str], bool] = lambda name: True) -> list[str]:
    """Make the topics of all registered events and groups, or of those whose full name is wanted; returns the names.

    Raises:
        KafkaException: the brokers did not do it.
        TimeoutError: they did, and the topics did not appear.
    """
    plans = [plan for plan in topics.plan() if is_wanted(plan.name)]
    topics.apply(plans)
    names = [plan.name for plan in plans]
    admin, deadline = clients.admin(), time.monotonic() + _SECONDS
    while missing := set(names) - _ready(admin):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {_SECONDS:g} s there are no topics {', '.join(sorted(missing))}")
        time.sleep(0.1)
    return names


def delete_topics_and_groups(prefix: str) -> None:
    """Delete every topic and every group whose full name begins so; what the brokers cannot delete stays.

    Raises:
        ValueError: the prefix is empty.
    """
    if not prefix:
        raise ValueError("an empty prefix would delete every topic")
    admin = clients.admin()
    with contextlib.suppress(KafkaException):
        listed = admin.list_consumer_groups(request_timeout=_SECONDS).result().valid
        if groups := [group.group_id for group in listed if group.group_id.startswith(prefix)]:
            with Coordinators() as coordinators:
                coordinators.delete(groups, within_seconds=_SECONDS)
    with contextlib.suppress(KafkaException):
        if names := [name for name in admin.list_topics(timeout=_SECONDS).topics if name.startswith(prefix)]:
            _wait(admin.delete_topics(names, operation_timeout=_SECONDS).values())


def _ready(admin: AdminClient) -> set[str]:
    found = admin.list_topics(timeout=_SECONDS).topics
    return {name for name, topic in found.items() if topic.error is None and topic.partitions}


def _wait(futures: Iterable[object]) -> None:
    for future in futures:
        with contextlib.suppress(KafkaException):
            future.result()  # type: ignore[attr-defined]  # a Future without its type
