"""`manage.py export_draw`: the draw of a sale's waiting room, signed."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from shop.site import terminal
from shop.waiting_room import admission, draw_document, rooms, scripts
from shop.waiting_room.tables import WaitingRoom


class Command(BaseCommand):
    """Reads; changes nothing."""

    help = (
        "Write the draw of a sale's waiting room: the seed, its SHA-256 as it was shown before the start, and all "
        "places that were given before the start, in the sequence in which they are served; signed. Whoever has the "
        "file can check it without the shop, with `verify_draw`. Exit code: 0, 1 if the sale has not started, 2 for "
        "options that make no sense, 3 if PostgreSQL cannot be reached."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument("sale", type=int, metavar="SALE", help="the sale's number, as in the admin's address")
        parser.add_argument("--output", type=Path, metavar="FILE", help="where to write it (default: standard output)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Draw it up, sign it, write it."""
        try:
            room, places = self._read(options["sale"])
        except OperationalError as error:
            raise terminal.without_postgresql(error) from error
        content = draw_document.sign(draw_document.draw_up(room, places))
        if options["output"]:
            options["output"].write_bytes(content)
            self.stdout.write(f"{len(places)} places in the sequence of the draw: {options['output']}")
        else:
            self.stdout.write(content.decode(), ending="")

    def _read(self, sale_id: int) -> tuple[rooms.Room, set[str]]:
        room = rooms.find_any(sale_id)
        if room is None:
            known = ", ".join(map(str, WaitingRoom.objects.values_list("pk", flat=True)[:20]))
            raise CommandError(f"Say which sale: waiting rooms have {known or 'none yet'}.", returncode=2)
        if not room.has_started:
            raise CommandError(
                f"The sale starts at {room.starts_at:%Y-%m-%d %H:%M:%S} UTC, and the draw is a secret until then.",
                returncode=1,
            )
        places = set(WaitingRoom.objects.get(pk=sale_id).drawn or ())
        try:
            # Those that came back later, after Redis had lost them.
            places |= set(scripts.drawn_places(sale_id))
        except admission.UNREACHABLE:
            self.stderr.write("Redis is away: these are the places that were kept at the start.")
        return room, places
