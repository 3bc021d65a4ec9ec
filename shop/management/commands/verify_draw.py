"""`manage.py verify_draw`: whether the draw of a waiting room is as it was signed, and as the seed gives it."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from shop.flashsales.receipts import document
from shop.site import terminal
from shop.waiting_room import draw_document
from shop.waiting_room.draw_document import Draw


class Command(BaseCommand):
    """Asks nobody: neither database nor Redis need be there."""

    help = (
        "Check the draw of a sale's waiting room, offline: its signature, to the byte; that the seed is the one whose "
        "SHA-256 it says was shown before; and that the places are in the sequence that the seed gives. Compare with "
        "what you saw: give the SHA-256 that the page showed before the start with --seed-sha256, your place with "
        "--place, and the shop's published key with --key. Exit code: 0, 1 if it does not hold, 2 for options that "
        "make no sense."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument("file", type=Path, metavar="FILE", help="a draw that `export_draw` wrote")
        parser.add_argument("--seed-sha256", metavar="HASH", help="what the page showed before the sale started")
        parser.add_argument("--place", metavar="ID", help="a place that must be on it; says which one it is")
        parser.add_argument("--key", metavar="KEY", help="the shop's published key; another one on the draw fails")
        parser.add_argument("--json", action="store_true", help="the verdict as one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, and say."""
        try:
            with options["file"].open("rb") as file:
                content = file.read(document.MOST_BYTES + 1)
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}", returncode=2) from error
        drawn, problems = None, []
        try:
            drawn = draw_document.read(content)
        except document.BadReceipt as error:
            problems = [f"{error}."]
        else:
            problems = [*draw_document.contradictions(drawn), *_differences(drawn, options)]
        self._say(drawn, problems, options)
        if problems:
            raise SystemExit(1)

    def _say(self, drawn: Draw | None, problems: list[str], options: dict[str, Any]) -> None:
        facts: dict[str, Any] = {}
        if drawn is not None:
            facts = {"sale": drawn.name, "places": len(drawn.places), "seed_sha256": drawn.seed_sha256}
            facts["key"] = drawn.key
            if options["place"] in drawn.places:
                facts["served_as"] = drawn.places.index(options["place"]) + 1
        if options["json"]:
            self.stdout.write(json.dumps({"holds": not problems, "problems": problems, **facts}))
            return
        for problem in problems:
            self.stdout.write(f"It does not hold: {terminal.printable(problem)}")
        if drawn is not None:
            self.stdout.write(
                terminal.printable(
                    f"“{drawn.name}” of {drawn.shop}: {len(drawn.places)} places were drawn at "
                    f"{drawn.starts_at:%Y-%m-%d %H:%M:%S} UTC; SHA-256 of the seed {drawn.seed_sha256}."
                )
            )
        if "served_as" in facts:
            self.stdout.write(f"The place is number {facts['served_as']} of {facts['places']}.")


def _differences(drawn: Draw, options: dict[str, Any]) -> list[str]:
    """Between the draw and what somebody saw."""
    found = []
    if options["seed_sha256"] and options["seed_sha256"].lower() != drawn.seed_sha256:
        found.append(f"before the start another SHA-256 was shown than {drawn.seed_sha256}")
    if options["place"] and options["place"] not in drawn.places:
        found.append("the place is not on it")
    if options["key"] and options["key"] != drawn.key:
        found.append(f"it is signed with {drawn.key}, not with the key given")
    return found
