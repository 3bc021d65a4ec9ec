"""What `manage.py show_cluster` prints."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kafka_bridge.monitoring.cluster_figures import BrokerFigures
from kafka_bridge.monitoring.replication import Cluster, Replication
from kafka_bridge.runtime import conf

_BROKER_FIELDS = ("id", "address", "is_up", "is_controller", "leads")


def as_json(found: Cluster) -> str:
    """One JSON object: brokers and partitions."""
    partitions = [
        dataclasses.asdict(each)
        | {"is_under_replicated": each.is_under_replicated, "refuses_writes": each.refuses_writes}
        for each in found.partitions
    ]
    return json.dumps(
        {
            "cluster_id": found.cluster_id,
            "under_replicated": sum(each.is_under_replicated for each in found.partitions),
            "without_leader": sum(each.leader is None for each in found.partitions),
            "brokers": [{name: getattr(broker, name) for name in _BROKER_FIELDS} for broker in found.brokers],
            "partitions": partitions,
        }
    )


def page(found: Cluster, *, is_in_detail: bool) -> RenderableType:
    """For people: brokers, topics (or each partition), and what is missing in a sentence."""
    topics = _partitions(found.partitions) if is_in_detail else _topics(found.partitions)
    return Group(_brokers(found), topics, *_sentences(found))


def _brokers(found: Cluster) -> Table:
    table = _table(f"Brokers of cluster {found.cluster_id}", "broker", "address", "state", "controller")
    table.add_column("leads", justify="right")
    for broker in found.brokers:
        state = Text("up", style="green") if broker.is_up else Text("down", style="bold red")
        table.add_row(str(broker.id), broker.address or "unknown", state, _controller(broker), str(broker.leads))
    return table


def _controller(broker: BrokerFigures) -> str:
    if not broker.is_up:
        return ""
    return {True: "yes", False: "no", None: "not told"}[broker.is_controller]


def _topics(partitions: Sequence[Replication]) -> Table:
    table = _table("Topics", "topic")
    for column in ("partitions", "copies", "in sync", "missing"):
        table.add_column(column, justify="right")
    table.add_column("leaders")
    for topic, rows in _by_topic(partitions):
        missing = sum(each.is_under_replicated for each in rows)
        table.add_row(
            topic,
            str(len(rows)),
            _span(len(each.replicas) for each in rows),
            _span(len(each.in_sync) for each in rows),
            Text(str(missing), style="bold red" if missing else "green"),
            " ".join(sorted({_leader(each) for each in rows})),
        )
    return table


def _partitions(partitions: Sequence[Replication]) -> Table:
    table = _table("Partitions", "partition", "leader", "replicas", "in sync", "state")
    for each in partitions:
        replicas, in_sync = (" ".join(map(str, brokers)) for brokers in (each.replicas, sorted(each.in_sync)))
        table.add_row(f"{each.topic}[{each.partition}]", _leader(each), replicas, in_sync, _state(each))
    return table


def _state(each: Replication) -> Text:
    if each.leader is None:
        return Text("no leader", style="bold red")
    if each.refuses_writes:
        return Text("refuses acks=all", style="bold red")
    if each.is_under_replicated:
        return Text("under-replicated", style="bold yellow")
    return Text("in sync", style="green")


def _sentences(found: Cluster) -> Iterator[Text]:
    down = [str(broker.id) for broker in found.brokers if not broker.is_up]
    if down:
        yield Text(f"Down: broker {', '.join(down)}.", style="bold red")
    under = [each for each in found.partitions if each.is_under_replicated]
    stuck = [each for each in found.partitions if each.refuses_writes]
    if not under:
        yield Text("Every copy of every partition is in sync.", style="green")
    else:
        yield Text(
            f"{len(under)} of {len(found.partitions)} partitions are under-replicated: a copy is missing or behind."
        )
    if stuck:
        yield Text(f"{len(stuck)} cannot be written with acks=all now.", style="bold red")
    if any(broker.is_up and broker.is_controller is None for broker in found.brokers):
        yield Text(
            f"Which broker is the controller, only their JMX says ({conf.name_of('broker_metrics_urls')}).", style="dim"
        )


def _by_topic(partitions: Iterable[Replication]) -> Iterator[tuple[str, list[Replication]]]:
    for topic, rows in groupby(partitions, key=attrgetter("topic")):
        yield topic, list(rows)


def _leader(each: Replication) -> str:
    return "none" if each.leader is None else str(each.leader)


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]}–{found[-1]}"  # noqa: RUF001 - from to


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
