"""`manage.py show_lag`."""

import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, cast

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from rich.console import Console
from rich.live import Live

from kafka_bridge.consuming import consumer_groups
from kafka_bridge.management.output import lag as output
from kafka_bridge.monitoring.groups import lag, throughput
from kafka_bridge.runtime import clients, conf, processes

BAD_OPTIONS, NO_KAFKA = 2, 1
WATCH_SECONDS = 2.0


class Command(BaseCommand):
    """Prints how far every consumer group is behind."""

    requires_system_checks = ()
    help = (
        "How far each consumer group is behind, partition by partition: what it has committed, where the partition "
        "ends, the messages between the two, the age of the oldest of them, when nothing will be left at the pace of "
        "the last minutes, and who reads it. Below that, what stands still: partitions that are paused, by a person or "
        "until something can be reached, and messages that are parked. Asked of the brokers; parked messages and "
        "people's pauses are read in PostgreSQL. “none yet” is a group that never committed: all that lies there is "
        "still to be read. Exit code: 0, 1 if Kafka does not answer, 2 for options that make no sense."
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
        paces = throughput.measure(_earlier(), throughput.snapshots_of(found))
        shown = _shown(found, options)
        if options["json"]:
            self.stdout.write(output.as_json(shown, paces))
        else:
            Console(file=cast(IO[str], self.stdout)).print(output.page(shown, paces))

    def _watch(self, options: Mapping[str, Any]) -> None:
        stop = processes.stop_on_signals()
        console = Console(file=cast(IO[str], self.stdout))
        before: dict[throughput.Key, throughput.Snapshot] = {}
        with Live(console=console, auto_refresh=False, transient=options["json"]) as live:
            while not stop.is_set():
                begun = time.monotonic()
                found = _read(options["groups"])
                now = throughput.snapshots_of(found)
                paces = throughput.measure(before or _earlier(), now)
                before = now
                shown = _shown(found, options)
                if options["json"]:
                    self.stdout.write(output.as_json(shown, paces))
                    self.stdout.flush()
                else:
                    live.update(output.page(shown, paces), refresh=True)
                stop.wait(max(0.0, options["watch"] - (time.monotonic() - begun)))


def _read(groups: Sequence[str]) -> list[lag.PartitionLag]:
    try:
        found = lag.read_lag(groups)
    except LookupError as error:
        raise CommandError(str(error.args[0]), returncode=BAD_OPTIONS) from error
    except KafkaException as error:
        raise CommandError(
            f"Kafka at {clients.conf().bootstrap_servers} does not answer: {error}. Is it running, and is "
            f"{conf.name_of('bootstrap_servers')} right?",
            returncode=NO_KAFKA,
        ) from error
    try:
        return lag.with_pauses(lag.with_parked_counts(found))
    except DatabaseError:
        return found  # all but that needs only Kafka


def _earlier() -> dict[throughput.Key, throughput.Snapshot]:
    """Samples of the last minutes; none where PostgreSQL is away, for the lag itself needs only Kafka."""
    try:
        return throughput.earlier_snapshots()
    except DatabaseError:
        return {}


def _shown(found: Sequence[lag.PartitionLag], options: Mapping[str, Any]) -> list[lag.PartitionLag]:
    if options["behind"]:
        return [row for row in found if row.messages]
    if options["json"] or options["groups"]:
        return list(found)
    # Retry topics are many, and mostly nothing is in them: people see those in which copies wait.
    usual = {group.name for group in consumer_groups.all_groups()}
    return [row for row in found if row.messages or row.state == "paused" or row.group in usual]
