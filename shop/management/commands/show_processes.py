"""`manage.py show_processes`: which processes of the shop run, and which are missing."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from rich import box
from rich.console import Console
from rich.table import Table

from kafka_bridge.monitoring.heartbeats.heartbeat import Heartbeat
from shop.operations.overview.figures import ProcessFigures
from shop.operations.processes import presence
from shop.operations.processes.expected import NotExpected

MISSING, UNKNOWN = 1, 2
_HEADINGS = ("role", "host", "pid", "version", "up for", "state", "does", "progress")
_COMMON = ("host", "version")
_WHOLE = ("role", "pid", "up for", "progress", "heard")


class Command(BaseCommand):
    """The table of processes, by their heartbeats."""

    help = (
        "Show every process of the shop by its heartbeat: where it runs, since when, what it does, when it finished "
        "something last; and which are missing of those that should run (EXPECTED_PROCESSES; without it, one of each "
        "role). Read from Redis, from PostgreSQL where Redis is away. Exit code 1: a process is missing. Exit code 2: "
        "it cannot be told, because Redis and PostgreSQL are away, or EXPECTED_PROCESSES cannot be read."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """How it is printed."""
        parser.add_argument("--json", action="store_true", help="one JSON object, with all that the heartbeats say")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print who runs and who is missing."""
        now = datetime.now(UTC)
        try:
            figures = presence.read_figures(now)
        except NotExpected as error:
            raise CommandError(f"EXPECTED_PROCESSES: {error}", returncode=UNKNOWN) from error
        except DatabaseError as error:
            raise CommandError(
                f"Neither Redis nor PostgreSQL can be asked ({type(error).__name__}): see REDIS_URL and DATABASE_URL.",
                returncode=UNKNOWN,
            ) from error
        if options["json"]:
            self.stdout.write(json.dumps(_as_object(figures, now)))
        else:
            self._print(figures, now)
        if figures.missing:
            raise SystemExit(MISSING)

    def _print(self, figures: ProcessFigures, now: datetime) -> None:
        """What all have in common, such as the machine, is in the title, so that a narrow terminal has room."""
        shown = {name: list(cells) for name, cells in _columns(figures, now).items()}
        common = [f"{name} {cells[0]}" for name in _COMMON if len(set(cells := shown[name])) == 1 and shown.pop(name)]
        table = Table(title=", ".join([f"Processes, by {figures.read_from}", *common]), box=box.SIMPLE_HEAD)
        for heading in (*shown, "heard"):
            table.add_column(heading, no_wrap=heading in _WHOLE, overflow="fold")
        for beat, *cells in zip(figures.heartbeats, *shown.values(), strict=True):
            silent = presence.is_silent(beat, now) and figures.read_from == "Redis"
            table.add_row(*cells, _ago(beat.beat_at, now), style="red" if silent else None)
        for gone in figures.missing:
            said = {"role": gone.role, "state": "missing", "does": f"{gone.present} of {gone.expected} run"}
            since = _ago(gone.since.timestamp(), now)
            table.add_row(*(said.get(heading, "") for heading in shown), since, style="bold red")
        Console(file=self.stdout).print(table)  # type: ignore[arg-type]  # it writes text, which is all that is asked


def _columns(figures: ProcessFigures, now: datetime) -> dict[str, list[str]]:
    """By heading, a cell of each process."""
    rows = [_cells(beat, now) for beat in figures.heartbeats]
    return {heading: [row[heading] for row in rows] for heading in _HEADINGS}


def _cells(beat: Heartbeat, now: datetime) -> dict[str, str]:
    progress = _ago(beat.progressed_at, now) if beat.progressed_at else "none yet"
    up_for = _ago(beat.started_at, now, "")
    cells = (beat.role, beat.host, str(beat.pid), beat.version, up_for, beat.state, beat.doing, progress)
    return dict(zip(_HEADINGS, cells, strict=True))


def _ago(at: float, now: datetime, ending: str = " ago") -> str:
    seconds = max(0.0, now.timestamp() - at)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}{ending}"
    return f"{seconds:.0f} s{ending}"


def _as_object(figures: ProcessFigures, now: datetime) -> dict[str, Any]:
    return {
        "at": now.isoformat(),
        "read_from": figures.read_from,
        "expected": dict(figures.expected),
        "missing": [
            {"role": gone.role, "expected": gone.expected, "present": gone.present, "since": gone.since.isoformat()}
            for gone in figures.missing
        ],
        "processes": [msgspec.to_builtins(beat) for beat in figures.heartbeats],
    }
