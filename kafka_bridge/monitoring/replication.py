"""Who keeps which copy: brokers, the leader of each partition, its replicas, and those of them that are in sync.

Only the brokers' metadata is asked for, so it needs no group, no database and no topic of the catalogue.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, ResourceType

from kafka_bridge.monitoring.brokers.broker_metrics import BrokerMetricsReader
from kafka_bridge.monitoring.cluster_figures import BrokerFigures
from kafka_bridge.runtime import clients

ANSWER_SECONDS, CONFIG_SECONDS = 5.0, 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Replication:
    """The copies of one partition; brokers by their numbers."""

    topic: str
    """As the cluster calls it."""
    partition: int
    leader: int | None
    """None while there is none: it can be neither read nor written."""
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    min_in_sync: int | None
    """With fewer copies in sync, writes with acks=all are refused; None where we may not know."""

    @property
    def is_under_replicated(self) -> bool:
        """Whether a copy is missing or behind."""
        return len(self.in_sync) < len(self.replicas)

    @property
    def refuses_writes(self) -> bool:
        """Whether producers with acks=all cannot write it now."""
        return self.leader is None or (self.min_in_sync is not None and len(self.in_sync) < self.min_in_sync)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """A cluster at one moment."""

    cluster_id: str
    brokers: tuple[BrokerFigures, ...]
    partitions: tuple[Replication, ...]


class ReplicationReader:
    """Reads it again and again with one client; of one thread."""

    def __init__(self) -> None:
        self._admin = AdminClient(clients.common() | {"log_level": 0})
        self._metrics = BrokerMetricsReader()
        self._addresses: dict[int, str] = {}
        self._min_in_sync: dict[str, int] = {}

    def read(self, names: Sequence[str] = ()) -> Cluster:
        """The cluster now, with all topics that we may see, or only these; names with or without the project's prefix.

        Raises:
            KafkaException: no broker answers.
            LookupError: there is no such topic.
        """
        self._metrics.ask()
        metadata = self._admin.list_topics(timeout=ANSWER_SECONDS)
        chosen = _chosen(metadata, names)
        least = self._known_min_in_sync(chosen)
        partitions = tuple(
            Replication(
                topic=name,
                partition=number,
                leader=each.leader if each.leader >= 0 else None,
                replicas=tuple(each.replicas),
                in_sync=tuple(each.isrs),
                min_in_sync=least.get(name),
            )
            for name in chosen
            for number, each in sorted(metadata.topics[name].partitions.items())
        )
        self._metrics.wait()
        return Cluster(
            cluster_id=metadata.cluster_id or "", brokers=tuple(self._brokers(metadata)), partitions=partitions
        )

    def _brokers(self, metadata: ClusterMetadata) -> Iterator[BrokerFigures]:
        """Those that are up, that were up before, or that should have a copy."""
        up = {broker.id: f"{broker.host}:{broker.port}" for broker in metadata.brokers.values()}
        self._addresses |= up
        every = [each for topic in metadata.topics.values() for each in topic.partitions.values()]
        known = {*self._addresses, *(number for each in every for number in each.replicas)}
        for number in sorted(known):
            broker = BrokerFigures(
                id=number,
                address=self._addresses.get(number, ""),
                is_up=number in up,
                # With KRaft clients are told any broker; which one it is, its JMX says.
                is_controller=number in up if len(known) == 1 else None,
                leads=sum(each.leader == number for each in every),
            )
            yield self._metrics.complete(broker) if broker.is_up else broker

    def _known_min_in_sync(self, names: Iterable[str]) -> dict[str, int]:
        """By topic, min.insync.replicas; without those whose settings we may not see, or whom nobody tells in time.

        It rarely changes, so a topic is asked about until it is known: the broker that is asked may be the dead one.
        """
        asked = [ConfigResource(ResourceType.TOPIC, name) for name in names if name not in self._min_in_sync]
        futures = self._admin.describe_configs(asked, request_timeout=CONFIG_SECONDS) if asked else {}
        for resource, future in futures.items():
            # Forbidden, or the broker does not answer: all else is known, and is shown.
            with contextlib.suppress(KafkaException, TimeoutError):
                self._min_in_sync[resource.name] = int(future.result(CONFIG_SECONDS)["min.insync.replicas"].value)
        return self._min_in_sync


def _chosen(metadata: ClusterMetadata, names: Sequence[str]) -> list[str]:
    if not names:
        return sorted(metadata.topics)
    found = []
    for name in names:
        known = [each for each in (clients.topic_name(name), name) if each in metadata.topics]
        if not known:
            raise LookupError(f"There is no topic {name!r}. There are: {', '.join(sorted(metadata.topics)) or 'none'}.")
        found.append(known[0])
    return found
