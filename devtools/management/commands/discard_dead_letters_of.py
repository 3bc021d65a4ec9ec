"""`manage.py discard_dead_letters_of`: the dead letters of one message, for what the demo undoes by itself."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand
from django.db.models import QuerySet

from kafka_bridge.dead_letters import redriving
from kafka_bridge.models import DeadLetter
from kafka_bridge.runtime import waiting

WAIT_SECONDS, QUIET_SECONDS = 20.0, 3.0
"""How long it waits for the first letter, and how long none may have come before it ends."""


class Command(BaseCommand):
    """Gives up what all groups have given up of one message."""

    requires_system_checks = ()
    help = (
        "Discard the dead letters of one message, of whichever groups they are, with a reason that is kept. Exit code: "
        "0, also where there is none."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Which message."""
        parser.add_argument("topic", help="without the prefix that it has on the cluster")
        parser.add_argument("partition", type=int)
        parser.add_argument("offset", type=int)
        parser.add_argument("--reason", required=True, help="why; kept with the letters")

    def handle(self, *args: Any, **options: Any) -> None:
        """Discard them, once they have been stored."""
        place = {name: options[name] for name in ("topic", "partition", "offset")}
        letters = DeadLetter.objects.filter(**place, state=DeadLetter.State.PARKED)
        count, patience = 0, WAIT_SECONDS
        while _has_come(letters, patience):
            count += len(redriving.discard(letters.all(), by="demo", reason=options["reason"]).done)
            patience = QUIET_SECONDS
        self.stdout.write(f"{count} dead letters discarded.")


def _has_come(letters: QuerySet[DeadLetter], seconds: float) -> bool:
    try:
        waiting.until(letters.all().exists, what="dead letters", timeout_seconds=seconds, every_seconds=0.5)
    except TimeoutError:
        return False
    return True
