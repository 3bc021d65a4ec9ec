"""Topics as the catalogue wants them, made and altered on the cluster."""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from kafka_bridge.consuming import registry
from kafka_bridge.runtime import clients, conf
from kafka_bridge.wire import event_types
from kafka_bridge.wire.events import Topic

DEAD_LETTER_RETENTION_SECONDS = 30 * 24 * 3600
OFFSETS = "__consumer_offsets"
"""Where the brokers themselves keep what groups have committed, and who has which partition."""
NOT_THERE = ("_UNSUPPORTED_FEATURE", "UNSUPPORTED_VERSION", "INVALID_REQUEST")
"""What librdkafka's embedded broker answers to what it does not have."""


@dataclass(frozen=True, kw_only=True)
class TopicChange:
    """One topic: how it should be, and what that takes."""

    name: str
    partitions: int
    replication_factor: int
    config: dict[str, str]
    action: str
    """`create`, `grow`, `configure` or `keep`."""
    detail: str = ""


def dead_letter_topic_name(topic: str, group: str) -> str:
    """Where a group puts the messages of a topic that it could not handle (both without prefixes)."""
    return f"{topic}.{group}.dlq"


def retry_topic_name(topic: str, group: str) -> str:
    """Where copies of a topic's messages wait for a group's next attempt (both without prefixes)."""
    return f"{topic}.{group}.retry"


def retry_group_name(group: str) -> str:
    """The Kafka group of a group's retry consumers (both without the prefix)."""
    return f"{group}.retry"


def retry_topic(topic: str, group: str) -> Topic:
    """Where copies of a topic's messages wait for the group's next attempt."""
    # A copy is only a clock, so partitions would add nothing: one is enough.
    return Topic(
        name=retry_topic_name(topic, group),
        owner=group,
        partitions=1,
        max_message_bytes=conf.max_copy_bytes(),
    )


def dead_letter_topics() -> list[Topic]:
    """Every dead letter topic that is wanted, by name."""
    found = [topic for topic in wanted() if topic.name.endswith(".dlq")]
    return sorted(found, key=lambda topic: topic.name)


def wanted() -> list[Topic]:
    """The catalogue's topics; for each group that hears one, a retry topic and a dead letter topic."""
    heard = [
        (topic.name, group.name)
        for topic in event_types.topics()
        for group in registry.groups()
        if topic in group.topics
    ]
    retry = [retry_topic(topic, group) for topic, group in heard]
    dead = [
        Topic(
            name=dead_letter_topic_name(topic, group),
            owner=group,
            partitions=1,
            retention_seconds=DEAD_LETTER_RETENTION_SECONDS,
            max_message_bytes=conf.max_copy_bytes(),
        )
        for topic, group in heard
    ]
    return [*event_types.topics(), *retry, *dead]


def plan() -> list[TopicChange]:
    """Compare what the catalogue wants with what the cluster has.

    Raises:
        KafkaException: the cluster does not answer.
    """
    admin = clients.admin()
    present = admin.list_topics(timeout=10).topics
    current = dict(_current_configs(admin, [t for t in map(_full_name, wanted()) if t in present]))
    return [_plan(topic, present.get(_full_name(topic)), current.get(_full_name(topic), {})) for topic in wanted()]


def apply(plans: list[TopicChange]) -> None:
    """Carry the plans out. Running it twice changes nothing.

    Raises:
        KafkaException: the cluster refused; the message names the topic's trouble.
    """
    admin = clients.admin()
    create = [
        NewTopic(p.name, num_partitions=p.partitions, replication_factor=p.replication_factor, config=p.config)
        for p in plans
        if p.action == "create"
    ]
    _create(admin, create)
    futures: list[Future[None]] = []
    grow = [NewPartitions(p.name, p.partitions) for p in plans if p.action == "grow"]
    futures += list(admin.create_partitions(grow).values()) if grow else []
    alter = [
        ConfigResource(
            ResourceType.TOPIC,
            p.name,
            incremental_configs=[
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in p.config.items()
            ],
        )
        for p in plans
        if p.action in ("grow", "configure")
    ]
    futures += list(admin.incremental_alter_configs(alter).values()) if alter else []
    for future in futures:
        future.result(timeout=30)


def _create(admin: AdminClient, new: list[NewTopic]) -> None:
    try:
        for future in admin.create_topics(new).values() if new else ():
            future.result(timeout=30)
    except KafkaException as error:
        if error.args[0].name() not in NOT_THERE:
            raise
        # It makes a topic as soon as a producer asks for it, with four partitions.
        asking = clients.producer()
        for topic in new:
            asking.list_topics(topic.topic, timeout=10)


def _full_name(topic: Topic) -> str:
    return clients.topic_name(topic.name)


def _config(topic: Topic) -> dict[str, str]:
    return {
        "retention.ms": str(topic.retention_seconds * 1000),
        "retention.bytes": str(topic.retention_bytes),
        "segment.bytes": str(topic.segment_bytes),
        "max.message.bytes": str(topic.max_message_bytes or clients.conf().max_message_bytes),
        "min.insync.replicas": str(clients.conf().min_insync_replicas),
        "unclean.leader.election.enable": "false",
    }


def _plan(topic: Topic, present: object, current: dict[str, str]) -> TopicChange:
    options = clients.conf()
    partitions, config = topic.partitions or options.partitions, _config(topic)
    has = len(getattr(present, "partitions", {}))
    action, detail = "keep", ""
    if present is None:
        action = "create"
    elif has < partitions:
        action = "grow"
        detail = (
            f"{has} → {partitions} partitions: new events of a key may take another partition than its earlier ones"
        )
    elif differing := [name for name, value in config.items() if current.get(name) != value]:
        action, detail = "configure", ", ".join(differing)
    return TopicChange(
        name=_full_name(topic),
        partitions=max(partitions, has),
        replication_factor=options.replication_factor,
        config=config,
        action=action,
        detail=detail,
    )


def _current_configs(admin: AdminClient, names: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    if not names:
        return
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    for resource, future in admin.describe_configs(resources).items():
        try:
            yield resource.name, {name: entry.value for name, entry in future.result(timeout=15).items()}
        except KafkaException as error:
            # librdkafka's embedded broker has no topic configurations; there is nothing to compare then.
            if error.args[0].name() not in NOT_THERE:
                raise
            yield resource.name, _config(next(t for t in wanted() if _full_name(t) == resource.name))
