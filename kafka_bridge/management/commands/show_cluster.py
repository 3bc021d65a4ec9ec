"""`manage.py show_cluster`."""

import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, cast

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.live import Live
from rich.text import Text

from kafka_bridge.management.output import cluster as output
from kafka_bridge.monitoring.replication import Cluster, ReplicationReader
from kafka_bridge.runtime import clients, conf, processes

BAD_OPTIONS, NO_KAFKA = 2, 1
WATCH_SECONDS = 2.0


class Command(BaseCommand):
    """Prints brokers, leaders and copies."""

    requires_system_checks = ()
    help = (
        "The brokers and who keeps what: which are up, which one is the controller, how many partitions each leads, "
        "and of each topic the copies that there should be, those that are in sync, and the partitions where one is "
        "missing. With names of topics, or with --partitions, each partition with its leader, its replicas and those "
        "in sync (the ISR). Only the brokers are asked. Exit code: 0, 1 if Kafka does not answer, 2 for options that "
        "make no sense; that a copy is missing is no error."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument("topics", nargs="*", metavar="TOPIC", help="topics, such as orders.events (default: all)")
        parser.add_argument("--partitions", action="store_true", help="each partition, and not only each topic")
        parser.add_argument(
            "--under-replicated", action="store_true", help="only partitions of which a copy is missing or behind"
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

    def handle(self, *args: Any, **options: Any) -> None:
        """Look once, or until told to stop."""
        if options["watch"] is not None and not 0.5 <= options["watch"] <= 3600:
            raise CommandError("--watch takes a number of seconds from 0.5 to 3600.", returncode=BAD_OPTIONS)
        reader = ReplicationReader()
        if options["watch"] is None:
            self._print(_shown(_read(reader, options["topics"]), options), options)
        else:
            self._watch(reader, options)

    def _print(self, found: Cluster, options: Mapping[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(output.as_json(found))
            self.stdout.flush()
        else:
            Console(file=cast(IO[str], self.stdout)).print(output.page(found, is_in_detail=_is_in_detail(options)))

    def _watch(self, reader: ReplicationReader, options: Mapping[str, Any]) -> None:
        """A cluster that does not answer for a moment is what one watches for, so that is shown and no end."""
        stop = processes.stop_on_signals()
        console = Console(file=cast(IO[str], self.stdout))
        _read(reader, options["topics"])
        with Live(console=console, auto_refresh=False, transient=options["json"]) as live:
            while not stop.is_set():
                begun = time.monotonic()
                try:
                    found = _shown(_read(reader, options["topics"]), options)
                except CommandError as error:
                    if options["json"]:
                        raise
                    live.update(Text(str(error), style="bold red"), refresh=True)
                else:
                    if options["json"]:
                        self._print(found, options)
                    else:
                        live.update(output.page(found, is_in_detail=_is_in_detail(options)), refresh=True)
                stop.wait(max(0.0, options["watch"] - (time.monotonic() - begun)))


def _read(reader: ReplicationReader, names: Sequence[str]) -> Cluster:
    try:
        return reader.read(names)
    except LookupError as error:
        raise CommandError(str(error.args[0]), returncode=BAD_OPTIONS) from error
    except KafkaException as error:
        raise CommandError(
            f"Kafka at {clients.conf().bootstrap_servers} does not answer: {error}. Is it running, and is "
            f"{conf.name_of('bootstrap_servers')} right?",
            returncode=NO_KAFKA,
        ) from error


def _shown(found: Cluster, options: Mapping[str, Any]) -> Cluster:
    if not options["under_replicated"]:
        return found
    missing = tuple(each for each in found.partitions if each.is_under_replicated)
    return Cluster(cluster_id=found.cluster_id, brokers=found.brokers, partitions=missing)


def _is_in_detail(options: Mapping[str, Any]) -> bool:
    return bool(options["topics"] or options["partitions"] or options["under_replicated"])
