"""`manage.py grow_catalogue`: fill a shop with invented books, to see how it is with as many as a bookshop has."""

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from devtools import big_catalogue


class Command(BaseCommand):
    """Adds books; takes none away."""

    help = (
        "Add invented books to the catalogue, the same ones for the same seed: for trying out the search and the lists "
        "of a big shop. They are for sale, and none is in stock unless asked for. Running it again adds nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument("--titles", type=int, default=200_000, metavar="N", help="how many (default: 200,000)")
        parser.add_argument("--seed", type=int, default=1, metavar="N", help="which ones (default: 1)")
        parser.add_argument("--stocked", action="store_true", help="with five copies of seven books in ten")
        parser.add_argument("--json", action="store_true", help="the result as one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make them, with progress."""
        titles, began, made = options["titles"], time.monotonic(), 0
        if not 0 < titles <= 10_000_000:
            raise CommandError("--titles is from 1 to 10,000,000.", returncode=2)
        with Progress(disable=options["json"], transient=True, console=Console(stderr=True)) as progress:
            task = progress.add_task("Books", total=titles)
            try:
                for made in big_catalogue.grow(titles, seed=options["seed"], is_stocked=options["stocked"]):
                    progress.update(task, completed=made)
            except ValueError as error:
                raise CommandError(str(error), returncode=2) from error
        seconds = round(time.monotonic() - began, 1)
        if options["json"]:
            self.stdout.write(json.dumps({"titles": made, "seconds": seconds}))
        else:
            self.stdout.write(f"{made:,} invented books are in the catalogue ({seconds} s).")
