"""Apache Kafka without Docker: one or three brokers as child processes, KRaft in combined mode, data on disk."""

import base64
import contextlib
import secrets
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from devtools.local import ports
from devtools.local.errors import LocalError
from devtools.local.kafka import kafka_jars
from devtools.local.state_dir import RESET_ADVICE
from devtools.local.supervisor import Command, Supervisor

HOST = "127.0.0.1"
LOG_CONFIG = kafka_jars.PROJECT / "deploy" / "kafka" / "log4j2.yaml"
METRICS_RULES = kafka_jars.PROJECT / "deploy" / "kafka" / "metrics.yml"
# Small: tests run a broker beside PostgreSQL and a browser on two cores.
JAVA_OPTIONS = (
    "-Xms64m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)
START_TIMEOUT_SECONDS = 90
FIRST_PORTS = (9092, 9093, 9094)


@dataclass(frozen=True)
class Broker:
    """One broker: its number, its ports and its folder."""

    id: int
    port: int
    controller_port: int
    folder: Path
    cluster: str = "kafka"
    admin_port: int = 0
    """Where brokers and the administrator connect, if that is another one than the clients'."""
    metrics_port: int = 0
    """Where it shows its JMX to Prometheus; 0: nowhere."""

    @property
    def name(self) -> str:
        """The name of its process and of its log."""
        return f"{self.cluster}-{self.id}"

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{HOST}:{self.port}"

    @property
    def admin_address(self) -> str:
        """`host:port` for brokers and the administrator."""
        return f"{HOST}:{self.admin_port or self.port}"


class KafkaSecurity(Protocol):
    """How brokers know who asks, and what clients that start and watch them need for it."""

    def ensure(self) -> None:
        """Make what is needed before a broker starts."""

    def properties(self, number: int, *, clients: str, brokers: str) -> dict[str, object]:
        """Properties of one broker, which takes clients, and brokers and the administrator, at these addresses."""

    def admin(self) -> dict[str, Any]:
        """How the administrator's client signs in, by librdkafka's names."""


class ApacheKafka:
    """A cluster on loopback. Its ports stay the same for the life of this object, also across restarts."""

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        folder: Path,
        jars: kafka_jars.Jars,
        brokers: int = 1,
        preferred_ports: tuple[int, ...] = (),
        name: str = "kafka",
        java_options: tuple[str, ...] = (),
        security: KafkaSecurity | None = None,
        has_metrics: bool = False,
    ) -> None:
        """`name` tells it from another one of the same supervisor; `java_options` are the brokers' own.

        With `has_metrics` each shows its JMX to Prometheus, which costs its start half a second.
        Without `security` everybody on this machine may do everything, without a password.
        """
        self._security = security
        self.folder = folder
        self._java_options = java_options
        self._had_data = False
        self._jars = jars
        self._supervisor = supervisor
        client_ports = ports.pick(brokers, preferred=preferred_ports)
        controller_ports = ports.pick(brokers)
        admin_ports = ports.pick(brokers) if security else [0] * brokers
        metrics_ports = ports.pick(brokers) if has_metrics else [0] * brokers
        self.brokers = {
            number: Broker(number, client, controller, folder / f"broker-{number}", name, admin, metrics)
            for number, client, controller, admin, metrics in zip(
                range(1, brokers + 1), client_ports, controller_ports, admin_ports, metrics_ports, strict=True
            )
        }

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all brokers, separated by commas."""
        return ",".join(broker.address for broker in self.brokers.values())

    @property
    def copies(self) -> int:
        """The replication factor that this cluster can give a topic."""
        return len(self.brokers)

    @property
    def metrics_urls(self) -> str:
        """Where the brokers show their JMX, as KAFKA_METRICS_URLS has it; empty without `has_metrics`."""
        shown = [broker for broker in self.brokers.values() if broker.metrics_port]
        return ",".join(f"{broker.id}=http://{HOST}:{broker.metrics_port}/metrics" for broker in shown)

    @property
    def metrics_addresses(self) -> list[str]:
        """The same as `host:port`, for Prometheus."""
        return [f"{HOST}:{broker.metrics_port}" for broker in self.brokers.values() if broker.metrics_port]

    def start(self, *ids: int) -> None:
        """Start those of these brokers (default: all) that are not running, and wait until they are ready.

        Raises:
            KafkaUnavailable: no Java, or the jars cannot be downloaded.
            LocalError: a broker does not start, perhaps because its data is damaged.
            Stopped: a stop was requested.
        """
        self.launch(*ids)
        self.wait_ready(*ids)

    def launch(self, *ids: int) -> None:
        """The first half of `start`: returns while the brokers are still starting."""
        self._jars.ensure(self._supervisor)
        if self._security:
            self._security.ensure()
        chosen = [broker for broker in self._chosen(ids) if not self._supervisor.is_running(broker.name)]
        self._had_data = self._is_formatted(*chosen)
        self._prepare(chosen)
        for broker in chosen:
            self._supervisor.start(self._command(broker))

    def wait_ready(self, *ids: int) -> None:
        """The second half of `start`."""
        try:
            for broker in self._chosen(ids):
                readiness = _Readiness(broker, self._security.admin() if self._security else {})
                self._supervisor.wait_ready(broker.name, readiness.reached, timeout_seconds=START_TIMEOUT_SECONDS)
        except LocalError as error:
            self.stop()
            if not self._had_data:
                raise
            raise LocalError(f"Kafka did not start on the data in {self.folder}. {RESET_ADVICE}. {error}") from error

    def stop(self, *ids: int, within_seconds: float = 10) -> None:
        """Shut down these brokers (default: all)."""
        self._supervisor.stop(*(broker.name for broker in self._chosen(ids)), within_seconds=within_seconds)

    def kill(self, *ids: int) -> None:
        """SIGKILL, as a crash would."""
        for broker in self._chosen(ids):
            self._supervisor.kill(broker.name)

    def is_running(self, number: int) -> bool:
        """Whether this broker's process runs."""
        return self._supervisor.is_running(self.brokers[number].name)

    def pause(self, *ids: int) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        for broker in self._chosen(ids):
            self._supervisor.send(broker.name, signal.SIGSTOP)

    def resume(self, *ids: int) -> None:
        """SIGCONT."""
        for broker in self._chosen(ids):
            self._supervisor.send(broker.name, signal.SIGCONT)

    def _chosen(self, ids: tuple[int, ...]) -> list[Broker]:
        return [self.brokers[number] for number in ids or self.brokers]

    def _is_formatted(self, *brokers: Broker) -> bool:
        return all((broker.folder / "data" / "meta.properties").exists() for broker in brokers)

    def _prepare(self, brokers: list[Broker]) -> None:
        identity = self._cluster_id()
        for broker in brokers:
            broker.folder.mkdir(parents=True, exist_ok=True)
            lines = [f"{name}={value}" for name, value in (self._properties(broker) | self._secured(broker)).items()]
            (broker.folder / "server.properties").write_text("\n".join(lines) + "\n")
            if not self._is_formatted(broker):
                self._format(broker, identity)

    def _cluster_id(self) -> str:
        file = self.folder / "cluster-id"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            # Sixteen random bytes in URL-safe base64 without padding; a leading dash would look like an option.
            file.write_text("B" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")[1:])
        return file.read_text()

    def _format(self, broker: Broker, identity: str) -> None:
        properties = broker.folder / "server.properties"
        arguments = self._java("kafka.tools.StorageTool", "format", "-t", identity, "-c", properties)
        code = self._supervisor.run(Command(name=f"{broker.name}-format", arguments=arguments), timeout_seconds=60)
        if code:
            hint = self._supervisor.hint(f"{broker.name}-format")
            raise LocalError(f"Kafka could not format {broker.folder}. {RESET_ADVICE}. {hint}")

    def _command(self, broker: Broker) -> Command:
        [java, *rest] = self._java("kafka.Kafka", broker.folder / "server.properties")
        agent = [f"-javaagent:{self._jars.agent}={HOST}:{broker.metrics_port}:{METRICS_RULES}"]
        return Command(
            name=broker.name, arguments=[java, *self._java_options, *(agent if broker.metrics_port else []), *rest]
        )

    def _java(self, main_class: str, *arguments: str | Path) -> list[str | Path]:
        archive = [f"-XX:SharedArchiveFile={self._jars.archive}"] if self._jars.archive.exists() else []
        log_option = f"-Dlog4j2.configurationFile={LOG_CONFIG}"
        return ["java", *JAVA_OPTIONS, *archive, log_option, "-cp", f"{self._jars.folder}/*", main_class, *arguments]

    def _secured(self, broker: Broker) -> dict[str, object]:
        """What takes the place of properties with which nobody signs in."""
        if not self._security:
            return {}
        found = self._security.properties(broker.id, clients=broker.address, brokers=broker.admin_address)
        return found | {
            "listeners": f"{found['advertised.listeners']},CONTROLLER://{HOST}:{broker.controller_port}",
        }

    def _properties(self, broker: Broker) -> dict[str, object]:
        copies = self.copies
        in_sync = 2 if copies > 2 else 1
        voters = ",".join(f"{other.id}@{HOST}:{other.controller_port}" for other in self.brokers.values())
        return {
            "process.roles": "broker,controller",
            "node.id": broker.id,
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://{broker.address},CONTROLLER://{HOST}:{broker.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{broker.address}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": broker.folder / "data",
            # Topics come from the catalogue; one that is created by accident would have the wrong settings.
            "auto.create.topics.enable": "false",
            "unclean.leader.election.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": in_sync,
            # Fewer partitions of the internal topics: creating their files delays the first use.
            "offsets.topic.num.partitions": 6,
            "transaction.state.log.num.partitions": 3,
            "share.coordinator.state.topic.num.partitions": 3,
            # Groups form at once, and a killed member is detected after seconds instead of 45.
            "group.coordinator.rebalance.protocols": "classic,consumer",
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "group.consumer.min.session.timeout.ms": 6000,
            "group.consumer.session.timeout.ms": 6000,
            "group.consumer.min.heartbeat.interval.ms": 500,
            "group.consumer.heartbeat.interval.ms": 500,
            # A broker that was killed may come back after this long: until then its old registration counts as alive.
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 500,
            # Thread pools and buffers for two cores and a small heap.
            "num.network.threads": 2,
            "num.io.threads": 4,
            "background.threads": 4,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        }


class _Readiness:
    """Whether a broker answers and lists itself in the cluster's metadata."""

    def __init__(self, broker: Broker, options: Mapping[str, Any]) -> None:
        self._broker = broker
        self._options = options
        self._client: AdminClient | None = None

    def reached(self) -> bool:
        if self._client is None:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self._broker.port), timeout=1):
                self._client = quiet_client(self._broker.admin_address, **self._options)
            return False
        with contextlib.suppress(KafkaException):
            return self._broker.id in self._client.list_topics(timeout=1).brokers
        return False


def quiet_client(bootstrap_servers: str, **options: Any) -> AdminClient:
    """A client that does not log connection errors, for brokers that are still starting."""
    config: dict[str, Any] = {"bootstrap.servers": bootstrap_servers, "log_level": 0, "error_cb": _ignore}
    return AdminClient(config | options)


def _ignore(_: KafkaError) -> None:
    """The caller polls, and sees the error that way."""
