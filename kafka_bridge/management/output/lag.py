"""What `manage.py show_lag` prints."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from django.utils import timezone
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from kafka_bridge.monitoring.groups import lag, throughput
from kafka_bridge.retrying.waiting_heads import ParkedCounts

_FIGURES = ("committed", "end", "behind", "oldest", "gone in")
_WIDEST = 1000
STYLES = {"nobody": "", "reading": "dim", "paused": "bold red", "retrying": "bold yellow"}


def as_json(found: Sequence[lag.PartitionLag], paces: Mapping[throughput.Key, throughput.Throughput]) -> str:
    """One JSON object: all partitions, with their pace."""
    rows = []
    for row in found:
        speed = paces.get(throughput.key_of(row))
        rows.append(
            asdict(row)
            | {
                "handled_per_second": speed and round(speed.handled, 2),
                "written_per_second": speed and round(speed.written, 2),
                "drain_seconds": speed and speed.drain_seconds(row.messages),
            }
        )
    return json.dumps({"messages": sum(row.messages for row in found), "partitions": rows}, default=_iso)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def page(found: Sequence[lag.PartitionLag], paces: Mapping[throughput.Key, throughput.Throughput]) -> RenderableType:
    """A table for people, and below it what stands still."""
    if not found:
        return _summary(found)
    return Group(_LagTable(found, paces), *_standing_still(found), *_parked(found), _summary(found))


class _LagTable:
    """Every partition, in a table where the terminal is wide enough; else who reads, or all of it, stands in lines."""

    def __init__(
        self, found: Sequence[lag.PartitionLag], paces: Mapping[throughput.Key, throughput.Throughput]
    ) -> None:
        self._found, self._paces = found, paces

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for with_owner in (True, False):
            table = self._table(with_owner=with_owner)
            if Measurement.get(console, options.update(width=_WIDEST), table).maximum <= options.max_width:
                yield table
                yield from () if with_owner else self._readers()
                return
        yield from self._lines()

    def _table(self, *, with_owner: bool) -> Table:
        table = Table(title="Consumer lag", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("group and partition", no_wrap=True)
        for column in _FIGURES:
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("state", no_wrap=True)
        if with_owner:
            table.add_column("read by", no_wrap=True)
        for group, rows in groupby(self._found, key=attrgetter("group")):
            table.add_row(Text(group, style="bold"))
            for row in rows:
                cells = self._cells(row)
                table.add_row(*(cells if with_owner else cells[:-1]))
        return table

    def _readers(self) -> Iterator[Text]:
        for (group, owner), rows in groupby(self._found, key=attrgetter("group", "owner")):
            if owner:
                places = ", ".join(f"{row.topic}[{row.partition}]" for row in rows)
                yield Text(f"{group}: {owner} reads {places}", style="dim")

    def _lines(self) -> Iterator[Text]:
        yield Text("Consumer lag")
        for group, rows in groupby(self._found, key=attrgetter("group")):
            yield Text(group, style="bold")
            for row in rows:
                place, *figures, state, owner = self._cells(row)
                told = [Text.assemble(name, " ", each) for name, each in zip(_FIGURES, figures, strict=True) if each]
                yield Text.assemble(
                    place, ": ", Text(", ").join([*told, Text.assemble(state)]), f", {owner}" * bool(owner)
                )

    def _cells(self, row: lag.PartitionLag) -> list[str | Text]:
        return _cells(row, self._paces.get(throughput.key_of(row)))


def _cells(row: lag.PartitionLag, speed: throughput.Throughput | None) -> list[str | Text]:
    behind = Text(f"{row.messages:,}", style="bold yellow" if row.messages else "green")
    nobody = Text("nobody", style="bold red" if row.messages else "dim")
    return [
        f"  {row.topic}[{row.partition}]",
        Text("none yet", style="yellow") if row.committed is None else f"{row.committed:,}",
        f"{row.end:,}",
        behind,
        _age(row),
        _drain(row, speed),
        nobody if row.state == "nobody" else Text(row.state, style=STYLES[row.state]),
        row.owner,
    ]


def _standing_still(found: Sequence[lag.PartitionLag]) -> list[Text]:
    """Who is paused or tries again, for how long, and why; partitions for the same reason together."""
    why: dict[tuple[str, str, str], list[lag.PartitionLag]] = defaultdict(list)
    for row in found:
        if row.since is not None:
            why[row.group, row.state, row.reason].append(row)
    return [_sentence(rows) for rows in why.values()]


def _sentence(rows: Sequence[lag.PartitionLag]) -> Text:
    first = min(rows, key=lambda row: row.since or datetime.max)
    for_long = (timezone.now() - (first.since or timezone.now())).total_seconds()
    places = ", ".join(f"{row.topic}[{row.partition}]" for row in rows)
    state = f"paused by {first.paused_by}" if first.paused_by else first.state
    said = f"{first.group} is {state}, {places}, for {duration(max(0.0, for_long))}: {first.reason}"
    return Text(said, style=STYLES[first.state])


def _parked(found: Sequence[lag.PartitionLag]) -> list[Text]:
    if any(row.parked is None for row in found):
        return [Text("PostgreSQL does not answer, so parked messages are not counted.")]
    return [
        Text(f"{row.group} has parked of {row.topic}[{row.partition}]: {', '.join(words)}")
        for row in found
        if row.parked and (words := _words(row.parked))
    ]


def _words(parked: ParkedCounts) -> list[str]:
    counts = {
        "to be tried again": parked.retrying,
        "behind one of the same key": parked.waiting,
        "among the dead letters": parked.dead,
    }
    return [f"{count:,} {words}" for words, count in counts.items() if count]


def _age(row: lag.PartitionLag) -> str:
    if not row.messages:
        return ""
    return "unknown" if row.seconds is None else duration(row.seconds)


def _drain(row: lag.PartitionLag, speed: throughput.Throughput | None) -> str:
    if not row.messages:
        return ""
    if speed is None:
        return "?"
    seconds = speed.drain_seconds(row.messages)
    return "never" if seconds is None else duration(seconds)


def _summary(found: Sequence[lag.PartitionLag]) -> str:
    behind = sum(row.messages for row in found)
    if not found:
        return "Nothing is behind."
    if not behind:
        return "Every group has read everything."
    alone = sorted({row.group for row in found if row.messages and not row.owner})
    unread = f" Nobody reads for {', '.join(alone)}: is it running?" if alone else ""
    return f"{behind:,} messages are still to be read.{unread}"


def duration(seconds: float) -> str:
    """In the two units that matter, such as `3 m 20 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    days, hours, minutes = whole // 86_400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} m" if hours else f"{minutes} m {whole % 60} s"
