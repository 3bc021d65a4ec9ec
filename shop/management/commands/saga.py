"""`manage.py saga`."""

import argparse
from collections.abc import Sequence
from typing import IO, Any, cast

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.table import Table

from shop.saga import tables

WIDE_COLUMNS = 130


class Command(BaseCommand):
    """Prints the saga."""

    help = (
        "Print, from the live registry, which event goes where, who hears it, when it is believed, and what the apps "
        "ask one another."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--mermaid", action="store_true", help="as a Mermaid diagram")
        form.add_argument("--markdown", action="store_true", help="as the tables at the top of the catalogue")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["mermaid"]:
            self.stdout.write(tables.as_mermaid())
        elif options["markdown"]:
            self.stdout.write(tables.as_markdown())
        else:
            self._print(Console(file=cast(IO[str], self.stdout)))

    def _print(self, console: Console) -> None:
        """A narrow window gets less: who says an event can be seen from its topic."""
        is_wide = console.width >= WIDE_COLUMNS
        shown = [name for name in (*tables.COLUMNS, "so that") if is_wide or name not in ("said by", "so that")]
        table = Table(title="The saga", show_lines=True, show_edge=False)
        for name in shown:
            table.add_column(name, no_wrap=name in ("event", "topic", "said by"))
        for row in tables.rows():
            cells = dict(zip((*tables.COLUMNS, "so that"), (*row.cells, row.so_that), strict=True))
            table.add_row(
                *(cells[name].replace(", ", "\n") for name in shown if name != "so that"),
                *([cells["so that"]] if is_wide else []),
            )
        console.print(table)
        if not is_wide:
            console.print(f"From {WIDE_COLUMNS} columns on, this also says what follows from each event.")
        self._print_rows(console, tables.BELIEFS, tables.BELIEF_COLUMNS, tables.belief_rows(), is_wide=is_wide)
        self._print_rows(console, tables.BETWEEN, tables.QUESTION_COLUMNS, tables.question_rows(), is_wide=is_wide)

    @staticmethod
    def _print_rows(
        console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, is_wide: bool
    ) -> None:
        """Who asks whom, and what; the rest where there is room."""
        shown = len(columns) if is_wide else 3
        table = Table(title=title, show_lines=True, show_edge=False)
        for name in columns[:shown]:
            table.add_column(name)
        for row in rows:
            table.add_row(*row[:shown])
        console.print(table)
