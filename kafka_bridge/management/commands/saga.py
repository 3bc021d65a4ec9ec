"""`manage.py saga`."""

import argparse
from typing import IO, Any, cast

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.table import Table

from kafka_bridge import saga


class Command(BaseCommand):
    """Prints the saga."""

    help = "Print which event goes where and who hears it, from the live registry."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--mermaid", action="store_true", help="as a Mermaid diagram")
        form.add_argument("--markdown", action="store_true", help="as the table at the top of the catalogue")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["mermaid"]:
            self.stdout.write(saga.as_mermaid())
        elif options["markdown"]:
            self.stdout.write(saga.as_markdown())
        else:
            table = Table(*saga.COLUMNS, "so that", title="The saga", show_lines=True)
            for row in saga.rows():
                table.add_row(*row.cells, row.so_that)
            Console(file=cast(IO[str], self.stdout)).print(table)
