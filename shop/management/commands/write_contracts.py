"""`manage.py write_contracts`."""

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from shop.contracts import documents


class Command(BaseCommand):
    """Writes the contracts for programs of others."""

    help = (
        "Write docs/contracts/asyncapi.json (topics, events, keys, headers) and docs/contracts/openapi.json (the JSON "
        "interface), as the code has them. With --check nothing is written: exit code 1 if a file is not what the code "
        "says."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="only say whether the files are up to date")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        outcomes = {name: self._write(name, is_check=options["check"]) for name in documents.NAMES}
        if options["json"]:
            self.stdout.write(json.dumps(outcomes))
        else:
            for name, outcome in outcomes.items():
                self.stdout.write(f"{outcome:8} {documents.path(name)}")
        if options["check"] and set(outcomes.values()) != {"same"}:
            raise CommandError("The contracts are not what the code says: run manage.py write_contracts.")

    @staticmethod
    def _write(name: str, *, is_check: bool) -> str:
        path, wanted = documents.path(name), documents.render(documents.make(name))
        outcome = "new" if not path.exists() else "same" if path.read_text() == wanted else "changed"
        if outcome != "same" and not is_check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted)
        return outcome
