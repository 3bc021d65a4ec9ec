"""`manage.py show_lag`."""

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import IO, Any, cast

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from django.utils import timezone
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kafka_bridge.consuming import consumer_groups
from kafka_bridge.monitoring import lag, throughput
from kafka_bridge.retrying.parking import Parked
from kafka_bridge.runtime import clients, conf, processes

BAD_OPTIONS, NO_KAFKA = 2, 1
WATCH_SECONDS = 2.0
STYLES = {"nobody": "", "reading": "dim", "paused": "bold red", "retrying": "bold yellow"}


class Command(BaseCommand):
    """Prints how far every consumer group is behind."""

    requires_system_checks = ()
    help = (
        "How far each consumer group is behind, partition by partition: what it has committed, where the partition "
        "ends, the messages between the two, the age of the oldest of them, when nothing will be left at the pace of "
        "the last minutes, and who reads it. Below that, what stands still: partitions that are paused until something "
        "can be reached, and messages that are parked. Asked of the brokers; only the parked ones are counted in "
        "PostgreSQL. “none yet” is a group that never committed: all that lies there is still to be read. Exit code: "
        "0, 1 if Kafka does not answer, 2 for options that make no sense."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument(
            "groups",
            nargs="*",
            metavar="GROUP",
            help="groups, such as `inventory`, or `inventory.retry` for its retry topics (default: all)",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object; with --watch one for each look")
        parser.add_argument(
            "--watch",
            nargs="?",
            type=float,
            const=WATCH_SECONDS,
            metavar="SECONDS",
            help="look again and again, until Ctrl-C (default: every %(const)g seconds)",
        )
        parser.add_argument("--behind", action="store_true", help="only partitions with something left to read")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look once, or until told to stop."""
        if options["watch"] is not None and not 0.5 <= options["watch"] <= 3600:
            raise CommandError("--watch takes a number of seconds from 0.5 to 3600.", returncode=BAD_OPTIONS)
        if options["watch"] is None:
            self._once(options)
        else:
            self._watch(options)

    def _once(self, options: Mapping[str, Any]) -> None:
        found = _read(options["groups"])
        paces = throughput.between(_earlier(), throughput.looks(found))
        shown = _shown(found, options)
        if options["json"]:
            self.stdout.write(_json(shown, paces))
        else:
            Console(file=cast(IO[str], self.stdout)).print(_page(shown, paces))

    def _watch(self, options: Mapping[str, Any]) -> None:
        stop = processes.stop_on_signals()
        console = Console(file=cast(IO[str], self.stdout))
        before: dict[throughput.Key, throughput.Look] = {}
        with Live(console=console, auto_refresh=False, transient=options["json"]) as live:
            while not stop.is_set():
                begun = time.monotonic()
                found = _read(options["groups"])
                now = throughput.looks(found)
                paces = throughput.between(before or _earlier(), now)
                before = now
                shown = _shown(found, options)
                if options["json"]:
                    self.stdout.write(_json(shown, paces))
                    self.stdout.flush()
                else:
                    live.update(_page(shown, paces), refresh=True)
                stop.wait(max(0.0, options["watch"] - (time.monotonic() - begun)))


def _read(groups: Sequence[str]) -> list[lag.Lag]:
    try:
        found = lag.read(groups)
    except LookupError as error:
        raise CommandError(str(error.args[0]), returncode=BAD_OPTIONS) from error
    except KafkaException as error:
        raise CommandError(
            f"Kafka at {clients.conf().bootstrap_servers} does not answer: {error}. Is it running, and is "
            f"{conf.name_of('bootstrap_servers')} right?",
            returncode=NO_KAFKA,
        ) from error
    try:
        return lag.with_parked(found)
    except DatabaseError:
        return found  # all but that needs only Kafka


def _earlier() -> dict[throughput.Key, throughput.Look]:
    """Samples of the last minutes; none where PostgreSQL is away, for the lag itself needs only Kafka."""
    try:
        return throughput.earlier_looks()
    except DatabaseError:
        return {}


def _shown(found: Sequence[lag.Lag], options: Mapping[str, Any]) -> list[lag.Lag]:
    if options["behind"]:
        return [row for row in found if row.messages]
    if options["json"] or options["groups"]:
        return list(found)
    # Retry topics are many, and mostly nothing is in them: people see those in which copies wait.
    usual = {group.name for group in consumer_groups.every()}
    return [row for row in found if row.messages or row.state == "paused" or row.group in usual]


def _json(found: Sequence[lag.Lag], paces: Mapping[throughput.Key, throughput.Pace]) -> str:
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
    return json.dumps({"messages": sum(row.messages for row in found), "partitions": rows}, default=_as_json)


def _as_json(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


# -- For people ---------------------------------------------------------------------------------------
def _page(found: Sequence[lag.Lag], paces: Mapping[throughput.Key, throughput.Pace]) -> RenderableType:
    if not found:
        return _summary(found)
    table = Table(title="Consumer lag", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    # Where the terminal is narrow, the last column gives way.
    table.add_column("group and partition", no_wrap=True, min_width=21)
    for column, width in {"committed": 9, "end": 5, "behind": 6, "oldest": 6, "gone in": 7}.items():
        table.add_column(column, justify="right", no_wrap=True, min_width=width)
    table.add_column("state", no_wrap=True, min_width=8)
    table.add_column("read by", no_wrap=True)
    group = ""
    for row in found:
        if row.group != group:
            group = row.group
            table.add_row(Text(group, style="bold"))
        table.add_row(*_cells(row, paces.get(throughput.key_of(row))))
    return Group(table, *_standing_still(found), *_parked(found), _summary(found))


def _cells(row: lag.Lag, speed: throughput.Pace | None) -> list[str | Text]:
    behind = Text(f"{row.messages:,}", style="bold yellow" if row.messages else "green")
    nobody = Text("nobody", style="bold red" if row.messages else "dim")
    return [
        f"  {row.topic}[{row.partition}]",
        Text("none yet", style="yellow") if row.committed is None else f"{row.committed:,}",
        f"{row.end:,}",
        behind,
        _age(row),
        _drain(row, speed),
        Text("" if row.state == "nobody" else row.state, style=STYLES[row.state]),
        row.owner or nobody,
    ]


def _standing_still(found: Sequence[lag.Lag]) -> list[Text]:
    """Who is paused or tries again, for how long, and why; partitions for the same reason together."""
    why: dict[tuple[str, str, str], list[lag.Lag]] = defaultdict(list)
    for row in found:
        if row.since is not None:
            why[row.group, row.state, row.reason].append(row)
    return [_sentence(rows) for rows in why.values()]


def _sentence(rows: Sequence[lag.Lag]) -> Text:
    first = min(rows, key=lambda row: row.since or datetime.max)
    for_long = (timezone.now() - (first.since or timezone.now())).total_seconds()
    places = ", ".join(f"{row.topic}[{row.partition}]" for row in rows)
    said = f"{first.group} is {first.state}, {places}, for {duration(max(0.0, for_long))}: {first.reason}"
    return Text(said, style=STYLES[first.state])


def _parked(found: Sequence[lag.Lag]) -> list[Text]:
    if any(row.parked is None for row in found):
        return [Text("PostgreSQL does not answer, so parked messages are not counted.")]
    return [
        Text(f"{row.group} has parked of {row.topic}[{row.partition}]: {', '.join(words)}")
        for row in found
        if row.parked and (words := _words(row.parked))
    ]


def _words(parked: Parked) -> list[str]:
    counts = {
        "to be tried again": parked.retrying,
        "behind one of the same key": parked.waiting,
        "among the dead letters": parked.dead,
    }
    return [f"{count:,} {words}" for words, count in counts.items() if count]


def _age(row: lag.Lag) -> str:
    if not row.messages:
        return ""
    return "unknown" if row.seconds is None else duration(row.seconds)


def _drain(row: lag.Lag, speed: throughput.Pace | None) -> str:
    if not row.messages:
        return ""
    if speed is None:
        return "?"
    seconds = speed.drain_seconds(row.messages)
    return "never, so" if seconds is None else duration(seconds)


def _summary(found: Sequence[lag.Lag]) -> str:
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
