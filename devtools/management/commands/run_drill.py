"""`manage.py run_drill`: cause an outage of one part of a busy shop, end it, and judge the result."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from devtools.drills import catalogue, environment, runner, screen
from devtools.drills.plans import BadPlan, DrillPlan
from devtools.drills.verdict import DrillVerdict
from devtools.local.errors import LocalError
from kafka_bridge.runtime import processes

NOT_HELD, CANNOT_RUN, STOPPED = 1, 2, 130
# Orders from a ten-minute outage have this long to complete.
DRAIN_WITHIN_SECONDS = 300.0
OPTIONS = ("seconds", "rate", "seed", "orders", "kills", "freeze", "brokers")


class Command(BaseCommand):
    """Drills a separate shop."""

    # The drill starts its own database; nothing can be checked before that.
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's way of saying so
    help = (
        "Start a separate shop, put it under load, cause an outage of one of its parts, and check that every accepted "
        "order completes, once and in order, with nothing left for a person. Needs Java 17 or newer. Exit codes: 0 the "
        "shop held, 1 it did not, 2 invalid options or it cannot run here, 130 stopped."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Options of the command line."""
        parser.add_argument("name", nargs="?", metavar="NAME", help="which drill; see --list")
        parser.add_argument("--list", action="store_true", help="list the drills")
        parser.add_argument("--seconds", type=float, metavar="N", help="length of the outage (default: 600)")
        parser.add_argument("--rate", type=float, default=5.0, metavar="N", help="buyers a second (default: 5)")
        parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed gives the same buyers")
        at_random = parser.add_argument_group("only of drills that strike at random")
        at_random.add_argument("--orders", type=int, metavar="N", help="how many buyers come (default: 2000)")
        at_random.add_argument(
            "--kills", type=int, metavar="N", help="how often something is taken away (default: 200)"
        )
        at_random.add_argument("--freeze", action="store_true", default=None, help="freeze half of them instead")
        at_random.add_argument("--brokers", type=int, choices=(1, 3), help="of Kafka (default: 1)")
        parser.add_argument("--json", action="store_true", help="the result as one JSON object on standard output")
        parser.add_argument("--keep", action="store_true", help="keep the shop's logs and data")

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
            self.stderr.write("Stopped. Everything of the drill has been removed.")
            sys.exit(STOPPED)
        if options["json"]:
            self.stdout.write(json.dumps(screen.as_json(verdict)))
        else:
            screen.print_verdict(verdict, Console(file=sys.stdout))
        if not verdict.has_held:
            raise CommandError(f"The shop did not hold: {'; '.join(verdict.problems)}", returncode=NOT_HELD)

    def _play(self, plan: DrillPlan, *, keep: bool) -> DrillVerdict:
        with (
            screen.Screen(Console(stderr=True)) as live,
            environment.opened(plan.brokers, state=Path(settings.STATE_DIR), say=live.say, keep=keep) as drilled,
        ):
            return runner.play(plan, drilled, show=live.show, drain_within_seconds=DRAIN_WITHIN_SECONDS)

    def _list(self, *, as_json: bool) -> None:
        if not as_json:
            screen.print_list(Console(file=sys.stdout))
            return
        fields = ("name", "takes_away", "must_hold", "brokers")
        self.stdout.write(json.dumps([{name: getattr(drill, name) for name in fields} for drill in catalogue.DRILLS]))


def _plan(options: dict[str, Any]) -> DrillPlan:
    try:
        if options["name"] is None:
            raise BadPlan("Name a drill; `manage.py run_drill --list` shows them.")
        drill = catalogue.find(options["name"])
        plan = DrillPlan.of(drill, {name: options[name] for name in OPTIONS if options[name] is not None})
    except BadPlan as error:
        raise CommandError(str(error), returncode=CANNOT_RUN) from error
    return plan
