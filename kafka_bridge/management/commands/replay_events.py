"""`manage.py replay_events`."""

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import IO, Any, TypeVar, cast
from uuid import UUID

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kafka_bridge.consuming import registry
from kafka_bridge.management.output import replays
from kafka_bridge.replaying import log_reader, offset_ranges, offsets, projections, replay
from kafka_bridge.replaying.offset_ranges import OffsetRange
from kafka_bridge.replaying.offsets import InvalidRequest
from kafka_bridge.runtime import clients, error_classes, processes

FAILED, REFUSED, STOPPED, DIFFERS = 1, 2, 3, 4
T = TypeVar("T")


class Command(BaseCommand):
    """Hands a group events that lie in the log."""

    requires_system_checks = ()
    help = (
        "Read a range of a topic and hand it to a group's handlers, through the inbox: what the group has had does "
        "nothing, so a replay of a whole topic changes nothing but what was missing. The group's offsets stay where "
        "they are. With --shadow, for groups whose tables follow from the log alone: rebuild the "
        "tables beside those in use, show what differs, and with --apply put it right; the group may be running. "
        "Ctrl-C and SIGTERM stop between two batches and say where. Exit code: 0 done, 1 Kafka or PostgreSQL is away "
        "or a handler raised, 2 refused, 3 stopped before the end, 4 the shadow differs and --apply was not given."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument("--group", required=True, help="such as `stock`; run_consumer --list shows them")
        parser.add_argument("--topic", help="such as `billing.events`; not with --shadow, which reads all")
        parser.add_argument(
            "--from",
            dest="start",
            metavar="PLACE",
            help="beginning, an offset (with --partition), or a time: what was written from then on; "
            "2026-01-31T04:00+01:00, UTC where no zone is given",
        )
        parser.add_argument("--to", dest="stop", metavar="PLACE", help="end, an offset, or a time; itself excluded")
        parser.add_argument("--partition", type=int, metavar="P", help="only this one (default: all)")
        parser.add_argument("--key", "--order", help="only events of this key")
        parser.add_argument("--rate", type=float, metavar="N", help="at most so many messages a second")
        parser.add_argument(
            "--while-running",
            action="store_true",
            help="though members of the group are at work: safe, because of the inbox; what they have not read yet "
            "is left to them",
        )
        parser.add_argument("--shadow", action="store_true", help="rebuild the group's tables, and compare")
        parser.add_argument("--apply", action="store_true", help="with --shadow: put right what differs")
        parser.add_argument("--dry-run", action="store_true", help="count what is new and what the group has had")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay, or make a shadow."""
        stop = processes.stop_on_signals()
        try:
            _check(options)
            group = registry.find(options["group"])
            if options["shadow"]:
                self._shadow(group, stop, options)
            else:
                self._replay(group, stop, options)
        except LookupError as error:
            raise CommandError(str(error.args[0]), returncode=REFUSED) from error
        except InvalidRequest as error:
            raise CommandError(str(error), returncode=REFUSED) from error
        except KafkaException as error:
            raise CommandError(
                f"Kafka at {clients.conf().bootstrap_servers} did not do it: {error}", returncode=FAILED
            ) from error
        except DatabaseError as error:
            raise CommandError(f"PostgreSQL did not do it: {error}", returncode=FAILED) from error

    # -- Through the inbox --------------------------------------------------------------------------------
    def _replay(self, group: registry.Group, stop: Event, options: Mapping[str, Any]) -> None:
        start, end = offsets.parse_mark(options["start"]), offsets.parse_mark(options["stop"])
        ranges = offset_ranges.plan_ranges(group, options["topic"], start, end, partition=options["partition"])
        if options["while_running"]:
            ranges = offset_ranges.only_committed(group, ranges)
        elif not options["dry_run"]:
            offsets.refuse_running(
                group.name,
                what="an event could overtake another one of its key. Stop them, or add --while-running: then what "
                "they have not read yet is left to them, and what they have had does nothing a second time.",
            )
        notes = offset_ranges.notes_on_deleted(ranges, start)
        under_way = replay.Replay(group, ranges, stop=stop, key=options["key"])
        try:
            self._with_progress(
                "reading" if options["dry_run"] else "replaying",
                ranges,
                lambda tell: under_way.run(
                    dry_run=options["dry_run"], per_second=options["rate"], progress=lambda outcome: tell(outcome.read)
                ),
                options,
            )
        except Exception as error:
            if not error_classes.is_infrastructure(error):
                raise
            self.stderr.write(replays.where_to_go_on(under_way.outcome, ranges))
            raise CommandError(f"Stopped, something is away: {error}", returncode=FAILED) from error
        outcome = under_way.outcome
        if options["json"]:
            self.stdout.write(json.dumps(replays.replay_as_json(group, outcome, ranges, notes, options)))
        else:
            replays.print_replay(self._console(), group, outcome, ranges, notes, options)
        if not outcome.is_whole:
            raise CommandError(
                "Stopped before the end, as told. " + replays.where_to_go_on(outcome, ranges), returncode=STOPPED
            )
        if options["key"] and not outcome.found:
            raise CommandError(
                f"No event of key {options['key']} lies in that range; {outcome.read:,} messages were read.",
                returncode=FAILED,
            )
        if outcome.failures:
            raise CommandError(f"{len(outcome.failures):,} messages could not be handled.", returncode=FAILED)

    # -- Beside the tables in use -------------------------------------------------------------------------
    def _shadow(self, group: registry.Group, stop: Event, options: Mapping[str, Any]) -> None:
        with projections.shadow_of(group) as shadow:
            ranges = shadow.begin()

            def fill(tell: Callable[[int], None]) -> None:
                done = 0
                for batch in log_reader.read_messages(ranges, stop=stop):
                    shadow.hear(batch)
                    done += len(batch)
                    tell(done)

            self._with_progress("rebuilding", ranges, fill, options)
            if stop.is_set():
                raise CommandError("Stopped before the end, as told; nothing was changed.", returncode=STOPPED)
            found = shadow.apply() if options["apply"] else shadow.differences()
        if options["json"]:
            self.stdout.write(json.dumps(replays.shadow_as_json(shadow, found, applied=options["apply"])))
        else:
            replays.print_shadow(self._console(), shadow, found, options)
        if found and not options["apply"]:
            raise CommandError(
                f"{len(found):,} rows differ from the log."
                + (" --apply puts them right." if shadow.is_complete else ""),
                returncode=DIFFERS,
            )

    # -- For people ---------------------------------------------------------------------------------------
    def _with_progress(
        self,
        what: str,
        ranges: Sequence[OffsetRange],
        work: Callable[[Callable[[int], None]], T],
        options: Mapping[str, Any],
    ) -> T:
        """Do it, with a bar on a terminal; what is piped or JSON gets none."""
        bar = Progress(
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=options["json"] or not sys.stderr.isatty(),
            transient=True,
        )
        with bar:
            task = bar.add_task(what, total=sum(len(each) for each in ranges))
            return work(lambda done: bar.update(task, completed=done))

    def _console(self) -> Console:
        return Console(file=cast(IO[str], self.stdout))


def _check(options: dict[str, Any]) -> None:
    """Options that make no sense together, and an id in the form that keys have."""
    if options["shadow"]:
        wrong = [
            name
            for name in ("topic", "start", "stop", "partition", "key", "rate", "while_running", "dry_run")
            if options[name]
        ]
        if wrong:
            raise InvalidRequest(
                "--shadow rebuilds tables from everything that the group hears, and compares: it goes with --group, "
                "--apply and --json only"
            )
        return
    if options["apply"]:
        raise InvalidRequest("--apply goes with --shadow; without it a replay acts by itself, --dry-run only counts")
    if missing := [name for name, value in (("--topic", "topic"), ("--from", "start"), ("--to", "stop"))
                   if options[value] is None]:  # fmt: skip
        raise InvalidRequest(f"{', '.join(missing)} must be given: which messages are meant?")
    if options["rate"] is not None and not options["rate"] > 0:
        raise InvalidRequest("--rate takes a number of messages a second above 0")
    if options["key"]:
        # An id may be typed in another form than keys have it.
        with contextlib.suppress(ValueError):
            options["key"] = str(UUID(options["key"]))
