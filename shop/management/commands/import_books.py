"""`manage.py import_books`: the catalogue from a file of the book trade, or from a table."""

import csv
import getpass
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from kafka_bridge.runtime import processes
from shop.books.importing import importer, onix, tables
from shop.books.importing.entries import NotReadable, Refused
from shop.models import Category
from shop.site import terminal

SHOWN = 20
SOME_REFUSED, BAD_FILE, STOPPED = 1, 2, 130


class Command(BaseCommand):
    """Reads a file once; each batch of books is in the catalogue, or none of it."""

    help = (
        "Add and change books from a file: ONIX for Books 3, as publishers and wholesalers send it, or a table (CSV) "
        f"whose first line names its columns ({', '.join(tables.COLUMNS)}). A book that is there keeps its shelf, its "
        "stock and whatever the file does not speak of. What cannot be used is refused, with the reason, and stops "
        "nothing else. Running a file again changes nothing. Exit code: 0, 1 if entries were refused, 2 for options "
        "that make no sense and files that cannot be read, 3 if PostgreSQL cannot be reached (what was read before "
        "stays)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        files = parser.add_mutually_exclusive_group(required=True)
        files.add_argument(
            "--onix", type=Path, metavar="FILE", help="an ONIX 3 message, with reference names or short tags"
        )
        files.add_argument("--csv", type=Path, metavar="FILE", help="a table in UTF-8, with commas, semicolons or tabs")
        parser.add_argument("--shelf", default="", metavar="SLUG", help="the shelf of new books that name none")
        parser.add_argument(
            "--subject", action="append", default=[], metavar="PREFIX=SLUG",
            help="the shelf of new books with a subject that begins so, such as FB=fiction; the longest one counts "
            "(ONIX only; may be given several times)",
        )  # fmt: skip
        parser.add_argument(
            "--refused", type=Path, metavar="FILE", help="write what was refused, and why, to this table"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")
        parser.add_argument("--json", action="store_true", help="the report as one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, put in, report."""
        report = importer.ImportReport()
        try:
            with processes.sigterm_as_ctrl_c():
                self._import(report, options)
        except (NotReadable, OSError) as error:
            self._tell_what_was_done(report, options)
            raise CommandError(str(error), returncode=BAD_FILE) from error
        except OperationalError as error:
            self._tell_what_was_done(report, options)
            raise terminal.without_postgresql(error) from error
        except KeyboardInterrupt:
            self._tell_what_was_done(report, options)
            self.stderr.write("Stopped. What was read before stays; run it again for the rest.")
            sys.exit(STOPPED)
        self._tell(report, options)
        if report.refused:
            sys.exit(SOME_REFUSED)

    def _import(self, report: importer.ImportReport, options: Mapping[str, Any]) -> None:
        entries, who = self._entries(options), f"import_books ({getpass.getuser()})"
        columns = SpinnerColumn(), TextColumn("{task.completed:,.0f} entries"), TimeElapsedColumn()
        with Progress(*columns, disable=options["json"], transient=True, console=Console(stderr=True)) as progress:
            task = progress.add_task("", total=None)
            for _ in importer.load(entries, report, who=who, shelf=options["shelf"], is_rehearsal=options["dry_run"]):
                progress.update(task, completed=report.read)

    def _entries(self, options: Mapping[str, Any]) -> Iterable[Any]:
        path = options["onix"] or options["csv"]
        if not path.is_file():
            raise CommandError(f"{path} is no file.", returncode=2)
        known = set(Category.objects.values_list("slug", flat=True))
        shelves = dict(_pair(text) for text in options["subject"])
        if options["csv"] and shelves:
            raise CommandError("--subject goes with --onix: a table has a column named shelf.", returncode=2)
        for slug in filter(None, [options["shelf"], *shelves.values()]):
            if slug not in known:
                raise CommandError(
                    f"There is no shelf {slug!r}. Shelves: {', '.join(sorted(known)) or 'none yet'}.", returncode=2
                )
        if options["csv"]:
            return tables.read(path, currency=settings.CURRENCY)
        return onix.read(path, currency=settings.CURRENCY, shelves=shelves)

    def _tell_what_was_done(self, report: importer.ImportReport, options: Mapping[str, Any]) -> None:
        """Before it ends early."""
        if report.read:
            self._tell(report, options)

    def _tell(self, report: importer.ImportReport, options: Mapping[str, Any]) -> None:
        if options["refused"]:
            _write(options["refused"], report.refused)
        if options["json"]:
            self.stdout.write(json.dumps(_as_dict(report, options["dry_run"])))
            return
        said = ("new", report.new), ("changed", report.changed), ("unchanged", report.unchanged)
        words = ", ".join(f"{count:,} {name}" for name, count in (*said, ("withdrawn", report.withdrawn)))
        would = "It would be" if options["dry_run"] else "Books"
        self.stdout.write(f"{would}: {words}; {len(report.refused):,} entries refused.")
        for refused in report.refused[:SHOWN]:
            self.stdout.write(f"  {refused.place} {refused.isbn}: {refused.reason}")
        if len(report.refused) > SHOWN:
            self.stdout.write(f"  … and {len(report.refused) - SHOWN:,} more: --refused FILE writes all of them.")


def _pair(text: str) -> tuple[str, str]:
    prefix, _, slug = text.partition("=")
    if not (prefix and slug):
        raise CommandError(f"--subject {text!r}: write it like FB=fiction.", returncode=2)
    return prefix, slug


def _write(path: Path, refused: Iterable[Refused]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("place", "isbn", "reason"))
        rows.writerows((each.place, each.isbn, each.reason) for each in refused)


def _as_dict(report: importer.ImportReport, is_rehearsal: bool) -> dict[str, Any]:
    return {
        "read": report.read,
        "new": report.new,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "withdrawn": report.withdrawn,
        "refused": [{"place": each.place, "isbn": each.isbn, "reason": each.reason} for each in report.refused],
        "dry_run": is_rehearsal,
    }
