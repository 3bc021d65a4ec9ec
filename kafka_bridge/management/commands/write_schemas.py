"""`manage.py write_schemas`."""

import argparse
import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.runtime import conf
from kafka_bridge.wire import schemas


class Command(BaseCommand):
    """Writes the events' JSON Schemas."""

    help = (
        "Write the JSON Schema of every event to a folder. A change that readers of the present schema would "
        "stumble over is refused (exit code 1): give the event a new version instead."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--folder", type=Path, help="where to (default: the setting schema_folder)")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, and write nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = options["folder"] or conf.current().schema_folder
        if not wanted:
            raise CommandError(f"Name a folder with --folder, or set {conf.name_of('schema_folder')}.")
        folder = Path(wanted)
        if not folder.is_dir():
            raise CommandError(f"{folder} is no folder; make it, or name another with --folder.")
        results = list(schemas.write(folder, dry_run=options["dry_run"]))
        if options["json"]:
            self.stdout.write(json.dumps({name: {"outcome": o, "breaks": breaks} for name, o, breaks in results}))
        else:
            for name, outcome, _ in results:
                self.stdout.write(f"{outcome:8} {name}")
        if refused := [f"{name}: {'; '.join(breaks)}" for name, outcome, breaks in results if outcome == "refused"]:
            raise CommandError("Give these a new version instead:\n" + "\n".join(refused))
