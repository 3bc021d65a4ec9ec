"""Reads a cluster again and again, with clients that stay connected: brokers, topics, groups, and how they go.

Rates, stalls and rebalances come from what was read before, so they are there from the second look on.
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, ResourceType, TopicMetadata

from kafka_bridge.consuming import consumer_groups
from kafka_bridge.consuming.offset_tracker import PartitionId
from kafka_bridge.models import GroupControl
from kafka_bridge.monitoring.brokers.broker_certificates import CertificateReader
from kafka_bridge.monitoring.brokers.broker_metrics import BrokerMetricsReader
from kafka_bridge.monitoring.cluster_figures import (
    BrokerFigures,
    GroupFigures,
    GroupPartition,
    KafkaFigures,
    MemberFigures,
    PartitionFigures,
    PartitionRates,
    Rebalance,
    TopicFigures,
)
from kafka_bridge.monitoring.groups import lag, throughput
from kafka_bridge.monitoring.groups.handling_rates import Handling, HandlingRates, Place
from kafka_bridge.monitoring.groups.lag import LagReading, PartitionLag
from kafka_bridge.monitoring.groups.stall_detector import StallDetector
from kafka_bridge.monitoring.groups.throughput import Key, Snapshot, Throughput
from kafka_bridge.monitoring.heartbeats.heartbeat import Heartbeat
from kafka_bridge.replaying import offsets
from kafka_bridge.runtime import clients, topics
from kafka_bridge.runtime.coordinators.asking import Coordinators, GroupMember, GroupState

PROBE_SECONDS = 3.0
"""Brokers that have not said by then who they are count as away."""
ANSWER_SECONDS = 5.0
"""So long may each further question take; the first that is not answered ends the look."""
RATE_SECONDS = 30.0
"""Rates are those of so long a time."""
CONFIG_SECONDS = 300.0
"""Topics' settings change rarely."""
REBALANCES_KEPT = 10
_Ends = dict[PartitionId, int]


class ClusterReader:
    """One reader for one thread."""

    def __init__(self, *, with_age: bool = True, metrics_every_seconds: float = 0.0) -> None:
        """`with_age`: whether old messages are read to learn how old they are, which takes a client a look.
        `metrics_every_seconds`: how long what brokers say by JMX serves; it costs them more than all other questions.
        """
        self._with_age = with_age
        self._admin: AdminClient | None = None
        self._coordinators = Coordinators()
        self._committed_of = offsets.CommittedReader(answer_seconds=ANSWER_SECONDS)
        self._metrics = BrokerMetricsReader(every_seconds=metrics_every_seconds)
        self._certificates = CertificateReader()
        self._handling = HandlingRates()
        self._stalls = StallDetector(seconds=0)
        self._looks: deque[tuple[float, dict[Key, Snapshot], _Ends]] = deque()
        self._owners: dict[str, dict[PartitionId, str]] = {}
        self._rebalances: dict[str, deque[Rebalance]] = defaultdict(lambda: deque(maxlen=REBALANCES_KEPT))
        self._addresses: dict[int, str] = {}
        self._configs: dict[str, dict[str, str]] = {}
        self._configs_at = 0.0

    def read(self, heartbeats: Iterable[Heartbeat] = (), pauses: Sequence[GroupControl] = ()) -> KafkaFigures:
        """The cluster as it is now; handling times and errors as these heartbeats have counted them.

        `pauses` are what people have paused; what stands still for that is not counted as stalled.

        Blocks for as long as the brokers take; `PROBE_SECONDS` where none answers, and `ANSWER_SECONDS` where they fall
        silent during the look, two seconds longer where it is a coordinator that does not answer.

        Raises:
            KafkaException: the brokers do not answer.
        """
        try:
            return self._read(heartbeats, pauses)
        except Exception:
            self._forget()
            raise

    def close(self) -> None:
        """End its clients."""
        self._admin = None
        self._coordinators.close()
        self._committed_of.close()

    def _forget(self) -> None:
        """Nobody knows what has moved meanwhile."""
        silent, self._committed_of = self._committed_of, offsets.CommittedReader(answer_seconds=ANSWER_SECONDS)
        # A client whose broker is frozen may take as long to close as to be answered.
        threading.Thread(target=silent.close, name="close-silent-clients", daemon=True).start()
        self.close()
        self._stalls.forget()
        self._looks.clear()

    def _read(self, heartbeats: Iterable[Heartbeat], pauses: Sequence[GroupControl]) -> KafkaFigures:
        if self._admin is None:
            self._admin = AdminClient(clients.common() | {"log_level": 0})  # what is wrong is raised
        # They answer while the cluster is read.
        self._metrics.ask()
        began = time.monotonic()
        metadata = self._admin.list_topics(timeout=PROBE_SECONDS)
        answer_seconds = time.monotonic() - began
        names = [clients.topic_name(topic.name) for topic in topics.wanted()]
        self._refresh_configs(self._admin, [name for name in names if name in metadata.topics])
        reading = lag.read_groups(
            self._admin,
            self._coordinators,
            consumer_groups.groups_with_lag(),
            metadata.topics,
            with_age=self._with_age,
            topics=names,
            committed_of=self._committed_of,
            answer_seconds=ANSWER_SECONDS,
        )
        handling = self._handling.update(heartbeats, time.time())
        paces, written = self._paces(reading)
        rows = lag.with_pauses(reading.rows, pauses)
        self._stalls.find_stalled(rows)
        self._metrics.wait()
        return KafkaFigures(
            cluster_id=metadata.cluster_id or "",
            brokers=tuple(self._brokers(metadata)),
            topics=tuple(
                self._topic(name, metadata.topics[name], reading, written) for name in names if name in metadata.topics
            ),
            groups=tuple(
                self._group(name, state, [row for row in rows if row.group == name], paces, handling)
                for name, state in reading.groups.items()
            ),
            answer_seconds=answer_seconds,
        )

    # -- Rates ------------------------------------------------------------------------------------------
    def _paces(self, reading: LagReading) -> tuple[dict[Key, Throughput], dict[PartitionId, float]]:
        """By partition of a group, and by partition, messages a second since half a minute ago."""
        now, snapshots = time.monotonic(), throughput.snapshots_of(reading.rows)
        while len(self._looks) > 1 and self._looks[1][0] <= now - RATE_SECONDS:
            self._looks.popleft()
        self._looks.append((now, snapshots, reading.ends))
        looked_at, before, ends = self._looks[0]
        if (seconds := now - looked_at) <= 0:
            return {}, {}
        written = {
            each: max(0.0, (end - ends[each]) / seconds) for each, end in reading.ends.items() if each in ends
        }  # fmt: skip
        return throughput.measure(before, snapshots), written

    # -- Brokers and topics -----------------------------------------------------------------------------
    def _brokers(self, metadata: ClusterMetadata) -> Iterable[BrokerFigures]:
        """Those that are up, and those that have been or that should have copies of partitions."""
        up = {broker.id: f"{broker.host}:{broker.port}" for broker in metadata.brokers.values()}
        self._addresses |= up
        partitions = [each for topic in metadata.topics.values() for each in topic.partitions.values()]
        known = {*self._addresses, *(replica for each in partitions for replica in each.replicas)}
        self._certificates.look(up.values())
        for number in sorted(known):
            address = self._addresses.get(number, "")
            broker = BrokerFigures(
                id=number,
                address=address,
                is_up=number in up,
                is_controller=number in up if len(known) == 1 else None,
                leads=sum(each.leader == number for each in partitions),
                certificate_ends_at=self._certificates.ends_at(address),
            )
            yield self._metrics.complete(broker)

    def _topic(
        self, name: str, metadata: TopicMetadata, reading: LagReading, written: Mapping[PartitionId, float]
    ) -> TopicFigures:
        partitions = tuple(
            PartitionFigures(
                number=number,
                leader=each.leader if each.leader >= 0 else None,
                replicas=tuple(each.replicas),
                in_sync=tuple(each.isrs),
                start=reading.starts.get((name, number), 0),
                end=reading.ends.get((name, number), 0),
                size_bytes=self._metrics.size_of((name, number), each.leader),
            )
            for number, each in sorted(metadata.partitions.items())
        )
        rates = [written[name, each.number] for each in partitions if (name, each.number) in written]
        sizes = [each.size_bytes for each in partitions if each.size_bytes is not None]
        config = self._configs.get(name, {})
        return TopicFigures(
            name=name.removeprefix(clients.conf().topic_prefix),
            partitions=partitions,
            messages=sum(each.end - each.start for each in partitions),
            size_bytes=sum(sizes) if len(sizes) == len(partitions) else None,
            written_per_second=sum(rates) if rates else None,
            retention_seconds=float(config.get("retention.ms", -1000)) / 1000,
            min_in_sync=int(config.get("min.insync.replicas", clients.conf().min_insync_replicas)),
        )

    def _refresh_configs(self, admin: AdminClient, names: Sequence[str]) -> None:
        is_known = self._configs.keys() >= set(names)
        if is_known and time.monotonic() - self._configs_at < CONFIG_SECONDS:
            return
        asked = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        futures = admin.describe_configs(asked, request_timeout=PROBE_SECONDS) if asked else {}
        self._configs = {
            resource.name: {key: entry.value for key, entry in future.result().items()}
            for resource, future in futures.items()
        }
        self._configs_at = time.monotonic()

    # -- Groups -----------------------------------------------------------------------------------------
    def _group(
        self,
        name: str,
        state: GroupState,
        rows: Sequence[PartitionLag],
        paces: Mapping[Key, Throughput],
        handling: Mapping[Place, Handling],
    ) -> GroupFigures:
        self._note_owners(name, state)
        behind = [row for row in rows if row.messages]
        ages = [row.seconds for row in behind if row.seconds is not None]
        messages = sum(row.messages for row in behind)
        known = [paces[key] for row in rows if (key := throughput.key_of(row)) in paces]
        pace = Throughput(handled=sum(p.handled for p in known), written=sum(p.written for p in known))
        together = Handling()
        for row in rows:
            together.add(handling.get(_place(row), Handling()))
        return GroupFigures(
            name=name,
            state=state.state,
            members=tuple(_member(member) for member in state.members),
            partitions=tuple(
                GroupPartition(
                    lag=row,
                    rates=_rates(paces.get(throughput.key_of(row)), handling.get(_place(row), Handling())),
                    stalled_seconds=self._stalls.stalled_seconds(row),
                    is_paused_by_person=bool(row.paused_by),
                )
                for row in rows
            ),
            messages=messages,
            seconds=max(ages) if ages else None if behind else 0.0,
            rates=_rates(pace if known else None, together),
            drain_seconds=pace.drain_seconds(messages) if known or not messages else None,
            rebalances=tuple(reversed(self._rebalances[name])),
        )

    def _note_owners(self, name: str, state: GroupState) -> None:
        """What has another owner than at the last look was moved; what nobody has any more will be."""
        owners = {each: member.id for member in state.members for each in member.partitions}
        before = self._owners.get(name)
        self._owners[name] = owners
        if before is None:
            return
        moved = sum(before.get(each) != owners.get(each) for each in before.keys() | owners.keys())
        if moved:
            self._rebalances[name].append(Rebalance(at=datetime.now(UTC), moved=moved, members=len(state.members)))


def _member(member: GroupMember) -> MemberFigures:
    prefix = clients.conf().topic_prefix
    partitions = tuple((topic.removeprefix(prefix), number) for topic, number in member.partitions)
    return MemberFigures(id=member.id, client_id=member.client_id, host=member.host, partitions=partitions)


def _place(row: PartitionLag) -> Place:
    return row.group, row.topic, row.partition


def _rates(pace: Throughput | None, handling: Handling) -> PartitionRates:
    p50, p95, p99 = handling.percentiles
    return PartitionRates(
        handled_per_second=pace.handled if pace else None,
        written_per_second=pace.written if pace else None,
        p50_seconds=p50,
        p95_seconds=p95,
        p99_seconds=p99,
        error_rate=handling.error_rate,
        retry_rate=handling.retry_rate,
    )
