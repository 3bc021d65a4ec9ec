"""`manage.py prune_tables`."""

import json
import math
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from rich.console import Console
from rich.table import Table

from kafka_bridge.runtime import housekeeping


class Command(BaseCommand):
    """Deletes rows that are too old to matter."""

    # The one that matters here: an inbox that forgets too early makes effects happen twice.
    requires_system_checks = "__all__"
    help = (
        "Delete what every table has kept for longer than its setting says, in small batches, until nothing is left; "
        "what a project folds is folded. The timekeeper does the same every minute. Exit code 1: PostgreSQL "
        "did not do it, or the settings would forget too early."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument("--dry-run", action="store_true", help="say what would be deleted, and delete nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prune to the end, or count."""
        try:
            counts = housekeeping.prune(limit_seconds=math.inf, dry_run=options["dry_run"])
        except DatabaseError as error:
            raise CommandError(f"PostgreSQL did not do it: {error}") from error
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], "rows": counts}))
            return
        table = Table("table", "kept", "set by", title="Old rows" + (" (dry run)" * options["dry_run"]))
        table.add_column("would go" if options["dry_run"] else "gone", justify="right")
        for kept in housekeeping.policies():
            table.add_row(kept.table, f"{kept.days():g} days", kept.called, f"{counts[kept.table]:,}")
        Console(file=cast(IO[str], self.stdout)).print(table)
