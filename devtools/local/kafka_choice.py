"""Which Kafka a demo uses: `auto`, `embedded`, `single`, `cluster`, or servers that run already."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from devtools.local import apache_kafka, kafka_jars
from devtools.local.apache_kafka import ApacheKafka
from devtools.local.embedded_kafka import EmbeddedKafka
from devtools.local.errors import LocalError
from devtools.local.state_dir import StateDir
from devtools.local.supervisor import Supervisor
from kafka_bridge.runtime import clients, topics

AUTO, EMBEDDED, SINGLE, CLUSTER = "auto", "embedded", "single", "cluster"
BROKERS = {SINGLE: 1, CLUSTER: 3}
_SERVERS = re.compile(r"[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*")


class Kafka(Protocol):
    """What a demo needs of any of them."""

    def launch(self) -> None:
        """Start it as far as needed to know its address; for servers that run already, see that they answer."""

    def wait_ready(self) -> None:
        """Wait until it serves."""

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, several with commas."""


class RunningKafka:
    """Servers that somebody else runs."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.brokers = 0

    def wait_ready(self) -> None:
        """They do, or `launch` would have raised."""

    def launch(self) -> None:
        """See that they answer, and count them.

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
class Choice:
    """The Kafka to use, and how to say so."""

    mode: str
    kafka: Kafka
    description: str
    because: str
    group_protocol: str

    @property
    def copies(self) -> int:
        """The replication factor for topics."""
        return min(3, self.kafka.brokers) if isinstance(self.kafka, RunningKafka) else BROKERS.get(self.mode, 1)

    def environment(self) -> dict[str, str]:
        """What makes `shop.settings` use it, once it has been started."""
        local = {} if isinstance(self.kafka, RunningKafka) else {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}
        return local | {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "KAFKA_GROUP_PROTOCOL": self.group_protocol,
            "KAFKA_REPLICATION_FACTOR": str(self.copies),
            "KAFKA_MIN_INSYNC_REPLICAS": "2" if self.copies > 2 else "1",
        }


def check(value: str) -> None:
    """Refuse what names no Kafka.

    Raises:
        LocalError: it does not.
    """
    if value not in (AUTO, EMBEDDED, SINGLE, CLUSTER) and not _SERVERS.fullmatch(value):
        raise LocalError(
            f"--kafka (KAFKA=) takes auto, embedded, single, cluster, or servers such as localhost:9092, not {value!r}."
        )


def choose(value: str, *, supervisor: Supervisor, state: StateDir, say: Callable[[str], None]) -> Choice:
    """Decide, downloading Apache Kafka if it is wanted and missing.

    Raises:
        KafkaUnavailable: a real one was asked for by name and cannot be had.
        Stopped: told to stop meanwhile.
    """
    if value not in (AUTO, EMBEDDED, SINGLE, CLUSTER):
        return Choice(
            mode="external",
            kafka=RunningKafka(value),
            description="a Kafka that runs already,",
            because="asked for",
            group_protocol=clients.conf().group_protocol,
        )
    jars = kafka_jars.Jars(state.path / "java")
    if value == EMBEDDED:
        return _embedded(supervisor, state, because="asked for")
    try:
        jars.check()
        if not jars.are_here:
            say(f"Downloading Apache Kafka {kafka_jars.version()} from Maven Central (45 MB, once)")
        jars.ensure(supervisor)
    except kafka_jars.KafkaUnavailable as error:
        if value != AUTO:
            raise
        say(f"No real Kafka here, so the embedded one is used. {error}")
        return _embedded(supervisor, state, because="no real one can be run here")
    because = f"Java {kafka_jars.java_version()} is here" if value == AUTO else "asked for"
    return _apache(supervisor, state.path, jars, SINGLE if value == AUTO else value, because=because)


def _embedded(supervisor: Supervisor, state: StateDir, *, because: str) -> Choice:
    wanted = {
        clients.topic_name(topic.name): topic.partitions or clients.conf().partitions for topic in topics.wanted()
    }
    return Choice(
        mode=EMBEDDED,
        kafka=EmbeddedKafka(supervisor, address_file=state.run / "kafka-address", topics=wanted),
        description="librdkafka's embedded broker, in memory",
        because=because,
        group_protocol="classic",  # the embedded broker's newer protocol is a sketch
    )


def _apache(supervisor: Supervisor, folder: Path, jars: kafka_jars.Jars, mode: str, *, because: str) -> Choice:
    count = BROKERS[mode]
    cluster = ApacheKafka(
        supervisor,
        folder=folder / "kafka" / mode,
        jars=jars,
        brokers=count,
        preferred_ports=apache_kafka.FIRST_PORTS[:count],
    )
    return Choice(
        mode=mode,
        kafka=cluster,
        description=f"Apache Kafka {kafka_jars.version()}, {'one broker' if count == 1 else f'{count} brokers'}",
        because=because,
        group_protocol="consumer",
    )
