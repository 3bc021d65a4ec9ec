"""`manage.py run_drill`: take something away from a shop at work, bring it back, and judge."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from devtools.drills import environment, plans, playing, screen
from devtools.drills.plans import BadPlan, DrillPlan
from devtools.drills.verdict import Verdict
from devtools.local.errors import LocalError
from kafka_bridge.runtime import processes

NOT_HELD, CANNOT_RUN, STOPPED = 1, 2, 130
# What was ordered in ten minutes has this long to come to its end.
DRAIN_WITHIN_SECONDS = 300.0


class Command(BaseCommand):
    """Drills a shop of its own."""

    # The drill brings its own database; nothing can be checked before that runs.
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's way of saying so
    help = (
        "Start a whole shop beside whatever runs here, let buyers order all the time, take something away for a "
        "while, bring it back, and say whether every accepted order came to its end, once and in order, with nothing "
        "left for a person. Needs Java 17 or newer. Exit codes: 0 the shop held, 1 it did not, 2 the options make no "
        "sense or it cannot be run here, 130 stopped."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Options of the command line."""
        parser.add_argument("name", nargs="?", metavar="NAME", help="which drill; --list names them")
        parser.add_argument("--list", action="store_true", help="what there is")
        parser.add_argument(
            "--seconds", type=float, default=600.0, metavar="N", help="how long it is taken away (default: 600)"
        )
        parser.add_argument("--rate", type=float, default=5.0, metavar="N", help="buyers a second (default: 5)")
        parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed brings the same buyers")
        parser.add_argument("--json", action="store_true", help="the result as one JSON object on standard output")
        parser.add_argument("--keep", action="store_true", help="leave the shop's logs and data where they are")

    def handle(self, *args: Any, **options: Any) -> None:
        """Play the drill and say what came of it."""
        if options["list"]:
            self._list(as_json=options["json"])
            return
        plan = _plan(options)
        try:
            with processes.sigterm_as_ctrl_c():
                verdict = self._play(plan, keep=options["keep"])
        except LocalError as error:
            raise CommandError(str(error), returncode=CANNOT_RUN) from error
        except KeyboardInterrupt:
            self.stderr.write("Stopped; nothing of the drill is left.")
            sys.exit(STOPPED)
        if options["json"]:
            self.stdout.write(json.dumps(screen.as_json(verdict)))
        else:
            screen.print_verdict(verdict, Console(file=sys.stdout))
        if not verdict.has_held:
            raise CommandError(f"The shop did not hold: {'; '.join(verdict.problems)}", returncode=NOT_HELD)

    def _play(self, plan: DrillPlan, *, keep: bool) -> Verdict:
        with (
            screen.Screen(Console(stderr=True)) as live,
            environment.opened(plan.drill, state=Path(settings.STATE_DIR), say=live.say, keep=keep) as place,
        ):
            return playing.play(plan, place, show=live.show, drain_within_seconds=DRAIN_WITHIN_SECONDS)

    def _list(self, *, as_json: bool) -> None:
        if not as_json:
            screen.print_list(Console(file=sys.stdout))
            return
        fields = ("name", "takes_away", "must_hold", "brokers")
        self.stdout.write(json.dumps([{name: getattr(drill, name) for name in fields} for drill in plans.DRILLS]))


def _plan(options: dict[str, Any]) -> DrillPlan:
    try:
        if options["name"] is None:
            raise BadPlan("Say which drill; `manage.py run_drill --list` names them.")
        drill = plans.find(options["name"])
        plan = DrillPlan(drill=drill, seconds=options["seconds"], rate=options["rate"], seed=options["seed"])
        plan.check()
    except BadPlan as error:
        raise CommandError(str(error), returncode=CANNOT_RUN) from error
    return plan
