"""Kafka clients with the settings an expert would look for. Make them after a fork, never at import.

# Note [What clients log]
A client whose brokers are away tries again many times a second, because it starts over with the servers it was given
each time all are found to be down; that is how it finds a cluster that has moved. It would log every try. So what
clients say goes to `kafka_bridge.runtime.clients.client`, where the same complaint passes once in half a minute.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from kafka_bridge.runtime import access_errors
from kafka_bridge.runtime import conf as configuration
from kafka_bridge.runtime.conf import BridgeSettings

log = logging.getLogger(__name__)
REPEAT_SECONDS = 30.0
ISOLATION = "read_uncommitted"
"""Whatever lies in a topic is read as it comes. The bridge makes no transactions of Kafka's; with `read_committed` one
of a stranger's that stays open would hold up all that comes after it."""
_MUCH_BYTES = 1024 * 1024
"""What brokers need not wait with: more than a batch."""
COMPRESSION = "lz4"
PARTITIONER = "consistent_random"
"""librdkafka's: CRC32 of the key, and any partition where there is none. Java's own is another one (murmur2)."""
_WARNINGS = 4
"""Of syslog's levels. For librdkafka brokers that do not answer in time are a warning, those that refuse an error."""
ErrorCallback = Callable[[KafkaError], None]
CommitCallback = Callable[[KafkaError | None, list[TopicPartition]], None]


def conf() -> BridgeSettings:
    """The bridge's settings, read when needed so that tests can replace them."""
    return configuration.current()


class NotAgain(logging.Filter):
    """Lets the same complaint pass once in a while. See Note [What clients log]."""

    def __init__(self) -> None:
        super().__init__()
        self._passed_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is new, or was long ago."""
        # Which client it was and what times are given in brackets make no other complaint of it.
        _, _, complaint = record.getMessage().partition("] ")
        complaint = complaint.partition(" (")[0]
        if time.monotonic() - self._passed_at.get(complaint, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        self._passed_at[complaint] = time.monotonic()
        return True


_client_log = logging.getLogger(f"{__name__}.client")
_client_log.addFilter(NotAgain())


def _ignore(_: KafkaError) -> None:
    """The callers watch deliveries and polls; librdkafka's own notices about single brokers add nothing."""


def common() -> dict[str, Any]:
    """Where the cluster is and who we are."""
    options = conf()
    config: dict[str, Any] = {
        "bootstrap.servers": options.bootstrap_servers,
        "security.protocol": options.security_protocol,
        "client.id": options.client_id,
        "reconnect.backoff.max.ms": 2000,
        # A broker that is frozen, not dead, keeps its connections open; the default would wait a minute for it.
        "socket.timeout.ms": 10_000,
        "socket.connection.setup.timeout.ms": 10_000,
        "error_cb": _ignore,
        "log_level": 3,
    }
    if options.sasl_mechanism:
        config |= {
            "sasl.mechanism": options.sasl_mechanism,
            "sasl.username": options.sasl_username,
            "sasl.password": options.sasl_password,
        }
    if options.ssl_ca_location:
        config["ssl.ca.location"] = options.ssl_ca_location
    if options.ssl_certificate_location:
        config |= {
            "ssl.certificate.location": options.ssl_certificate_location,
            "ssl.key.location": options.ssl_key_location,
        }
    return config


def producer(*, linger_ms: float = 5, on_error: ErrorCallback = _ignore) -> Producer:
    """A producer that keeps order and loses nothing: idempotent, acks=all; `on_error` hears of brokers' troubles."""
    return Producer(
        common()
        | {
            "logger": _client_log,
            "log_level": _WARNINGS,
            "error_cb": on_error,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": linger_ms,
            "compression.type": COMPRESSION,
            "partitioner": PARTITIONER,
            # Before compression; what topics take is measured after it.
            "message.max.bytes": configuration.max_copy_bytes(),
            "delivery.timeout.ms": int(conf().delivery_timeout_seconds * 1000),
            "queue.buffering.max.messages": 200_000,
        }
    )


def lossy_producer(*, queued_max: int, give_up_seconds: float) -> Producer:
    """A producer that never makes anybody wait: acks=1, a queue of so many messages, each given up after a while."""
    return Producer(
        common()
        | {
            "logger": _client_log,
            "acks": 1,
            "linger.ms": 50,
            "compression.type": COMPRESSION,
            "partitioner": PARTITIONER,
            "message.timeout.ms": int(give_up_seconds * 1000),
            "queue.buffering.max.messages": queued_max,
        }
    )


def consumer(
    *,
    group: str,
    patience_seconds: float = 0.0,
    on_commit: CommitCallback = lambda error, _: None,
    on_error: ErrorCallback = _ignore,
) -> Consumer:
    """A consumer whose offsets move only when `runner.py` says so.

    With patience its brokers wait so long for more messages before they hand any over. While it is polled, `on_commit`
    hears how commits went, and `on_error` of brokers' troubles.
    """
    options = conf()
    config = common() | {
        "logger": _client_log,
        "log_level": _WARNINGS,
        "error_cb": on_error,
        "group.id": options.group_prefix + group,
        "group.protocol": options.group_protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "on_commit": on_commit,
        "auto.offset.reset": "earliest",
        "isolation.level": ISOLATION,
        # The end of a partition comes as an event; see `GroupMember._note_end`.
        "enable.partition.eof": True,
        "max.poll.interval.ms": int(options.max_poll_interval_seconds * 1000),
        "fetch.wait.max.ms": int(patience_seconds * 1000) or 500,
        "fetch.min.bytes": _MUCH_BYTES if patience_seconds else 1,
        "fetch.error.backoff.ms": 100,
        # A batch is 500 messages; a deeper queue would only hold memory.
        "queued.min.messages": 5000,
        "queued.max.messages.kbytes": 16 * 1024,
        "topic.metadata.refresh.interval.ms": 30_000,
    }
    if options.group_protocol == "classic":
        config |= {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 10_000}
    else:
        # A member gets the same partitions of all its topics, so all facts about a key: two members that handle two
        # facts of one key at the same moment would wait for each other's locks.
        config["group.remote.assignor"] = "range"
    return Consumer(config)


def is_usable(message: Message, *, reader: str) -> bool:
    """Whether it is a message, and no notice of the client's; those are logged under the reader's name.

    Raises:
        AccessRefused: a topic or the group is forbidden.
        KafkaException: the client is beyond repair.
    """
    error = message.error()
    if error is None:
        return True
    if access_errors.is_access_refused(error):
        raise access_errors.AccessRefused(error)
    if error.fatal():
        raise KafkaException(error)
    if error.code() != KafkaError._PARTITION_EOF:
        log.warning("%s: %s", reader, error)
    return False


def admin() -> AdminClient:
    """For topics, groups and offsets."""
    return AdminClient(common())


def broker_count(*, timeout_seconds: float = 10) -> int:
    """How many brokers answer.

    Raises:
        KafkaException: none does.
    """
    return len(admin().list_topics(timeout=timeout_seconds).brokers)


def topic_name(name: str) -> str:
    """A topic of the catalogue as it is called on this cluster."""
    return conf().topic_prefix + name
