"""`manage.py audit`."""

import argparse
import getpass
import json
from collections.abc import Sequence
from typing import IO, Any, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError, ProgrammingError
from rich.console import Console

from shop import audit
from shop.audit import repair

CLEAN, OFF, BAD_OPTIONS, NOT_RUN = 0, 1, 2, 3


class Command(BaseCommand):
    """Checks every invariant of the shop."""

    # It must also run where something is wrong.
    requires_system_checks = ()
    help = (
        "Check that the shop's books add up: stock, holds, orders, money, events. Everything in PostgreSQL is read in "
        "one consistent, read-only snapshot, so it can run at any time in a busy shop and blocks nothing. Each "
        "invariant is printed with the number of violations and a few examples, and the result is stored for the "
        "admin. Exit codes: 0 all invariants hold, 1 some do not, 2 invalid options, 3 the audit could not be run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
        parser.add_argument(
            "--grace",
            type=_seconds,
            default=settings.AUDIT_GRACE_SECONDS,
            metavar="SECONDS",
            help="how long events may be under way between apps before it counts as wrong (default: %(default)g); 0 "
            "for a shop at rest, where everything must be exact",
        )
        parser.add_argument(
            "--repair",
            action="store_true",
            help="repair what can be repaired safely (rebuild stock counters, release holds of cancelled orders, "
            "cancel overdue orders, release expired holds, return unsold units of ended sales, correct held and sold "
            "to what orders have), print each action and what is left for a person, and audit again",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="with --repair: only print what it would do; nothing is changed"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Audit, repair if requested, audit again, and exit with the result."""
        if options["dry_run"] and not options["repair"]:
            raise CommandError("--dry-run needs --repair", returncode=BAD_OPTIONS)
        try:
            report = self._run(options)
        except audit.TooSlow as error:
            raise CommandError(f"The audit was aborted: {error}.", returncode=NOT_RUN) from error
        except ProgrammingError as error:
            raise CommandError(
                f"The audit could not be run: a table is missing; run `manage.py migrate` first ({_first(error)}).",
                returncode=NOT_RUN,
            ) from error
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(
                f"The audit could not be run: PostgreSQL is not available ({_first(error)}).", returncode=NOT_RUN
            ) from error
        if not report.is_clean:
            raise SystemExit(OFF)

    def _run(self, options: dict[str, Any]) -> audit.AuditReport:
        grace_seconds, by = options["grace"], _who()
        report = audit.run(grace_seconds=grace_seconds, by=by)
        if not options["repair"]:
            self._tell(report, options)
            return report
        acts = repair.plan(report, grace_seconds=grace_seconds, by=by)
        if options["dry_run"]:
            self._tell(report, options, planned=[act.plan for act in acts], for_people=repair.left_over(report))
            return report
        if not options["json"]:
            audit.print_report(report, self._console())
        done = [act.carry_out() for act in acts]
        again = audit.run(grace_seconds=grace_seconds, by=by)
        self._tell(again, options, repaired=done, for_people=repair.remedies(again.broken))
        return again

    def _tell(self, report: audit.AuditReport, options: dict[str, Any], **acts: Sequence[str]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json() | acts))
            return
        if "repaired" in acts:
            self._list("Repaired", acts["repaired"])
        audit.print_report(report, self._console(), title="After the repair" if "repaired" in acts else "Audit")
        if "planned" in acts:
            self._list("Repair would", acts["planned"])
        if acts.get("for_people"):
            self._list("Left for a person", acts["for_people"])

    def _list(self, title: str, lines: Sequence[str]) -> None:
        items = "".join(f"  - {line}\n" for line in lines or ["nothing"])
        self.stdout.write(f"\n{title}:\n{items}")

    def _console(self) -> Console:
        return Console(file=cast(IO[str], self.stdout))


def _seconds(text: str) -> float:
    """A number of seconds, 0 or more."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return seconds


def _who() -> str:
    """Who runs the command, as far as the system knows."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown user"


def _first(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
