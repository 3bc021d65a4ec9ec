"""Which Kafka to use: `auto`, `embedded`, `single`, `cluster`, or servers that are already running."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from devtools.local.errors import LocalError
from devtools.local.kafka import apache_kafka, kafka_jars
from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.local.kafka.embedded_kafka import EmbeddedKafka
from devtools.local.state_dir import StateDir
from devtools.local.supervisor import Supervisor
from kafka_bridge.runtime import clients, topics

AUTO, EMBEDDED, SINGLE, CLUSTER = "auto", "embedded", "single", "cluster"
BROKERS = {SINGLE: 1, CLUSTER: 3}
_SERVERS = re.compile(r"[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*")


class Kafka(Protocol):
    """The interface of all kinds of Kafka."""

    def launch(self) -> None:
        """Start it until its address is known; if it is already running, check that it answers."""

    def wait_ready(self) -> None:
        """Wait until it is ready."""

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, several separated by commas."""


class RunningKafka:
    """Servers that are already running."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.brokers = 0

    def wait_ready(self) -> None:
        """Nothing to wait for: `launch` has checked that they answer."""

    def launch(self) -> None:
        """Check that they answer, and count them.

        Raises:
            LocalError: they do not.
        """
        config = clients.common() | {"bootstrap.servers": self.bootstrap_servers, "log_level": 0}
        try:
            self.brokers = len(AdminClient(config).list_topics(timeout=10).brokers)
        except KafkaException as error:
            raise LocalError(
                f"No Kafka answers at {self.bootstrap_servers} ({error.args[0].str()}): start it, or correct the "
                "address; without --kafka (KAFKA=) the demo brings its own."
            ) from error


@dataclass(frozen=True, kw_only=True)
class KafkaChoice:
    """The Kafka to use, and its description."""

    mode: str
    kafka: Kafka
    description: str
    because: str
    group_protocol: str

    @property
    def copies(self) -> int:
        """The replication factor for topics."""
        return min(3, self.kafka.brokers) if isinstance(self.kafka, RunningKafka) else BROKERS.get(self.mode, 1)

    def scraped(self) -> dict[str, list[str]]:
        """What Prometheus can be shown by it: `host:port` of each broker, by the job's name."""
        addresses = self.kafka.metrics_addresses if isinstance(self.kafka, ApacheKafka) else []
        return {"brokers": addresses} if addresses else {}

    def environment(self) -> dict[str, str]:
        """Environment variables that make `shop.settings` use it, once it is started."""
        local = {} if isinstance(self.kafka, RunningKafka) else {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}
        metrics = self.kafka.metrics_urls if isinstance(self.kafka, ApacheKafka) else None
        return local | {
            **({} if metrics is None else {"KAFKA_METRICS_URLS": metrics}),
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "KAFKA_GROUP_PROTOCOL": self.group_protocol,
            "KAFKA_REPLICATION_FACTOR": str(self.copies),
            "KAFKA_MIN_INSYNC_REPLICAS": "2" if self.copies > 2 else "1",
        }


def check(value: str) -> None:
    """Refuse an invalid choice.

    Raises:
        LocalError: see its message.
    """
    if value not in (AUTO, EMBEDDED, SINGLE, CLUSTER) and not _SERVERS.fullmatch(value):
        raise LocalError(
            f"--kafka (KAFKA=) takes auto, embedded, single, cluster, or servers such as localhost:9092, not {value!r}."
        )


def choose(value: str, *, supervisor: Supervisor, state: StateDir, say: Callable[[str], None]) -> KafkaChoice:
    """Choose, and download Apache Kafka if it is needed and missing.

    Raises:
        KafkaUnavailable: a real Kafka was requested and cannot run here.
        Stopped: a stop was requested.
    """
    if value not in (AUTO, EMBEDDED, SINGLE, CLUSTER):
        return KafkaChoice(
            mode="external",
            kafka=RunningKafka(value),
            description="an external Kafka",
            because="requested",
            group_protocol=clients.conf().group_protocol,
        )
    jars = kafka_jars.Jars(state.path / "java")
    if value == EMBEDDED:
        return _embedded(supervisor, state, because="requested")
    try:
        jars.check()
        if not jars.are_here:
            say(f"Downloading Apache Kafka {kafka_jars.version()} from Maven Central (48 MB, once)")
        jars.ensure(supervisor)
    except kafka_jars.KafkaUnavailable as error:
        if value != AUTO:
            raise
        say(f"Apache Kafka cannot run here, so the embedded broker is used. {error}")
        return _embedded(supervisor, state, because="Apache Kafka cannot run here")
    because = f"Java {kafka_jars.java_version()} is installed" if value == AUTO else "requested"
    return _apache(supervisor, state.path, jars, SINGLE if value == AUTO else value, because=because)


def _embedded(supervisor: Supervisor, state: StateDir, *, because: str) -> KafkaChoice:
    wanted = {
        clients.topic_name(topic.name): topic.partitions or clients.conf().partitions for topic in topics.wanted()
    }
    return KafkaChoice(
        mode=EMBEDDED,
        kafka=EmbeddedKafka(supervisor, address_file=state.run / "kafka-address", topics=wanted),
        description="librdkafka's embedded broker, in memory",
        because=because,
        group_protocol="classic",  # the embedded broker implements the newer protocol only in part
    )


def _apache(supervisor: Supervisor, folder: Path, jars: kafka_jars.Jars, mode: str, *, because: str) -> KafkaChoice:
    count = BROKERS[mode]
    cluster = ApacheKafka(
        supervisor,
        folder=folder / "kafka" / mode,
        jars=jars,
        brokers=count,
        preferred_ports=apache_kafka.FIRST_PORTS[:count],
        has_metrics=True,
    )
    return KafkaChoice(
        mode=mode,
        kafka=cluster,
        description=f"Apache Kafka {kafka_jars.version()}, {'one broker' if count == 1 else f'{count} brokers'}",
        because=because,
        group_protocol="consumer",
    )
