"""`manage.py show_addresses`: every address of the shop, with who may call it and its limits."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.table import Column, Table

from shop.site import addresses


class Command(BaseCommand):
    """The table of addresses, from `shop/site/addresses.py`."""

    help = "Show every address of the shop (pages, JSON, sockets, sandbox bank): who may call it, methods and limits."

    def add_arguments(self, parser: CommandParser) -> None:
        """How it is printed."""
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--markdown", action="store_true", help="the table as it stands in docs/security.md")
        form.add_argument("--json", action="store_true", help="one JSON array, with an object for each address")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the table."""
        if options["markdown"]:
            self.stdout.write(addresses.as_markdown(), ending="")
        elif options["json"]:
            self.stdout.write(json.dumps(addresses.as_objects(), indent=2))
        else:
            table = Table(*(Column(name, overflow="fold") for name in addresses.HEADINGS), title="Addresses")
            for address in addresses.ADDRESSES:
                table.add_row(*address.cells())
            Console(file=self.stdout).print(table)  # type: ignore[arg-type]  # it writes text, which is all that is asked
