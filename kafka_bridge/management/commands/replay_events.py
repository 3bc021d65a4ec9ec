"""`manage.py replay_events`."""

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from threading import Event
from typing import IO, Any, TypeVar, cast
from uuid import UUID

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from kafka_bridge.consuming import registry
from kafka_bridge.replaying import offsets, projections, replay
from kafka_bridge.replaying.offsets import InvalidRequest
from kafka_bridge.replaying.projections import RowDifference, Shadow
from kafka_bridge.replaying.replay import OffsetRange, ReplayOutcome
from kafka_bridge.runtime import clients, error_classes, processes

FAILED, REFUSED, STOPPED, DIFFERS = 1, 2, 3, 4
SHOWN = 40
T = TypeVar("T")


class Command(BaseCommand):
    """Hands a group events that lie in the log."""

    requires_system_checks = ()
    help = (
        "Read a range of a topic and hand it to a group's handlers, through the inbox: what the group has had does "
        "nothing, so a replay of a whole topic changes nothing but what was missing. The group's offsets stay where "
        "they are. With --shadow, for groups whose tables follow from the log alone: make the "
        "tables anew beside those in use, show what differs, and with --apply put it right; the group may be running. "
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
        parser.add_argument("--key", help="only events of this key")
        parser.add_argument("--rate", type=float, metavar="N", help="at most so many messages a second")
        parser.add_argument(
            "--while-running",
            action="store_true",
            help="though members of the group are at work: safe, because of the inbox; what they have not read yet "
            "is left to them",
        )
        parser.add_argument("--shadow", action="store_true", help="make the group's tables anew, and compare")
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
        start, end = offsets.parse(options["start"]), offsets.parse(options["stop"])
        stretches = replay.plan(group, options["topic"], start, end, partition=options["partition"])
        if options["while_running"]:
            stretches = replay.only_committed(group, stretches)
        elif not options["dry_run"]:
            offsets.refuse_running(
                group.name,
                what="an event could overtake another one of its key. Stop them, or add --while-running: then what "
                "they have not read yet is left to them, and what they have had does nothing a second time.",
            )
        notes = replay.holes(stretches, start)
        under_way = replay.Replay(group, stretches, stop=stop, key=options["key"])
        try:
            self._with_progress(
                "reading" if options["dry_run"] else "replaying",
                stretches,
                lambda tell: under_way.run(
                    dry_run=options["dry_run"], per_second=options["rate"], progress=lambda outcome: tell(outcome.read)
                ),
                options,
            )
        except Exception as error:
            if not error_classes.is_infrastructure(error):
                raise
            self.stderr.write(_where(under_way.outcome, stretches))
            raise CommandError(f"Stopped, something is away: {error}", returncode=FAILED) from error
        outcome = under_way.outcome
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(group, outcome, stretches, notes, options)))
        else:
            self._print(group, outcome, stretches, notes, options)
        if not outcome.is_whole:
            raise CommandError("Stopped before the end, as told. " + _where(outcome, stretches), returncode=STOPPED)
        if options["key"] and not outcome.found:
            raise CommandError(
                f"No event of key {options['key']} lies in that range; {outcome.read:,} messages were read.",
                returncode=FAILED,
            )
        if outcome.failures:
            raise CommandError(f"{len(outcome.failures):,} messages could not be handled.", returncode=FAILED)

    def _print(
        self,
        group: registry.Group,
        outcome: ReplayOutcome,
        stretches: Sequence[OffsetRange],
        notes: Sequence[str],
        options: Mapping[str, Any],
    ) -> None:
        console = self._console()
        table = Table("event", title=f"{options['topic']} → {group.name}" + " (dry run)" * options["dry_run"])
        table.add_column("would be new" if options["dry_run"] else "new", justify="right")
        table.add_column("had before", justify="right")
        for kind in sorted({*outcome.new, *outcome.had}):
            table.add_row(kind, f"{outcome.new[kind]:,}", f"{outcome.had[kind]:,}")
        if table.row_count:
            console.print(table)
        for failure in outcome.failures[:SHOWN]:
            what = f"{failure.place} {failure.type} of {failure.key}: {failure.error}"
            console.print(f"[red]failed[/] {escape(what)}", soft_wrap=True)
        for note in notes:
            console.print(f"[yellow]{escape(note)}[/]", soft_wrap=True)
        console.print(_sentence(group, outcome), highlight=False, soft_wrap=True)

    # -- Beside the tables in use -------------------------------------------------------------------------
    def _shadow(self, group: registry.Group, stop: Event, options: Mapping[str, Any]) -> None:
        with projections.shadow_of(group) as shadow:
            stretches = shadow.begin()

            def fill(tell: Callable[[int], None]) -> None:
                done = 0
                for batch in replay.read(stretches, stop=stop):
                    shadow.hear(batch)
                    done += len(batch)
                    tell(done)

            self._with_progress("making anew", stretches, fill, options)
            if stop.is_set():
                raise CommandError("Stopped before the end, as told; nothing was changed.", returncode=STOPPED)
            found = shadow.apply() if options["apply"] else shadow.differences()
        if options["json"]:
            self.stdout.write(
                json.dumps(
                    {
                        "group": group.name,
                        "heard": shadow.heard,
                        "lost": shadow.lost,
                        "is_complete": shadow.is_complete,
                        "applied": options["apply"],
                        "differences": [asdict(each) for each in found],
                    }
                )
            )
        else:
            self._print_shadow(shadow, found, options)
        if found and not options["apply"]:
            raise CommandError(
                f"{len(found):,} rows differ from the log."
                + (" --apply puts them right." if shadow.is_complete else ""),
                returncode=DIFFERS,
            )

    def _print_shadow(self, shadow: Shadow, found: Sequence[RowDifference], options: Mapping[str, Any]) -> None:
        console = self._console()
        table = Table("table", "row", "column", title=f"{shadow.group.name}: what differs from the log")
        table.add_column("was" if options["apply"] else "in use", justify="right")
        table.add_column("is" if options["apply"] else "by the log", justify="right")
        for each in found[:SHOWN]:
            for name, in_use, anew in _columns(each):
                table.add_row(each.table, each.key, name, in_use, anew)
        if found:
            console.print(table)
        if len(found) > SHOWN:
            console.print(f"… and {len(found) - SHOWN:,} rows more; --json has all")
        if not shadow.is_complete:
            console.print(f"[yellow]{escape(shadow.why_incomplete())}[/]", soft_wrap=True)
        end = f"{len(found):,} rows put right." if options["apply"] and found else ""
        console.print(
            f"{shadow.heard:,} events made the tables anew. " + (end or ("" if found else "Nothing differs.")),
            highlight=False,
            soft_wrap=True,
        )

    # -- For people ---------------------------------------------------------------------------------------
    def _with_progress(
        self,
        what: str,
        stretches: Sequence[OffsetRange],
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
            task = bar.add_task(what, total=sum(len(each) for each in stretches))
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
                "--shadow makes tables anew from everything that the group hears, and compares: it goes with --group, "
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


def _sentence(group: registry.Group, outcome: ReplayOutcome) -> str:
    parts = [
        f"{outcome.read:,} read",
        f"{outcome.new.total():,} new",
        f"{group.name} had {outcome.had.total():,} before",
    ]
    for count, words in (
        (outcome.not_heard, "not asked for"),
        (outcome.waiting, "waiting behind a failure"),
        (outcome.malformed, "malformed"),
        (len(outcome.failures), "failed"),
        (outcome.left_out, "left out behind those that failed"),
    ):
        if count:
            parts.append(f"{count:,} {words}")
    return ", ".join(parts) + "."


def _where(outcome: ReplayOutcome, stretches: Sequence[OffsetRange]) -> str:
    return "To go on: " + "; ".join(
        f"--partition {each.kept.partition} --from {outcome.reached[each.place]}"
        for each in stretches
        if outcome.reached[each.place] < each.stop
    )


def _as_json(
    group: registry.Group,
    outcome: ReplayOutcome,
    stretches: Sequence[OffsetRange],
    notes: Sequence[str],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "group": group.name,
        "topic": options["topic"],
        "dry_run": options["dry_run"],
        "is_whole": outcome.is_whole,
        "read": outcome.read,
        "new": dict(outcome.new),
        "had": dict(outcome.had),
        "not_heard": outcome.not_heard,
        "waiting": outcome.waiting,
        "malformed": outcome.malformed,
        "failures": [asdict(each) for each in outcome.failures],
        "left_out": outcome.left_out,
        "partitions": [
            {
                "partition": each.kept.partition,
                "from": each.start,
                "to": each.stop,
                "reached": outcome.reached[each.place],
            }
            for each in stretches
        ],
        "notes": list(notes),
    }


def _columns(each: RowDifference) -> list[tuple[str, str, str]]:
    """Name, value in use and value by the log, of the columns that differ."""
    if each.in_use is None or each.anew is None:
        row = each.in_use or each.anew or {}
        shown = ", ".join(f"{name} {value}" for name, value in row.items() if str(value) != each.key)
        return [("all", shown if each.in_use else "no row", shown if each.anew else "no row")]
    return [(name, str(value), str(each.anew[name])) for name, value in each.in_use.items() if value != each.anew[name]]
