"""`manage.py experiment`: put a question to Kafka, say what you expect, and see."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from confluent_kafka import KafkaException
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from devtools.experiments import catalogue, runner, screen
from devtools.experiments.lab import Unfinished
from devtools.experiments.plans import BadChoice, Experiment, Verdict
from devtools.experiments.status_file import StatusFile
from devtools.local.errors import LocalError
from kafka_bridge.runtime import processes

NOT_FINISHED, CANNOT_RUN, STOPPED = 1, 2, 130
ROUNDS_MAX = 50


class Command(BaseCommand):
    """Runs one experiment."""

    # It needs a broker only, and may bring its own.
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's way of saying so
    help = (
        "Put a question to a real Kafka: say what you expect, watch it happen, read the verdict. It works in topics "
        "and groups of its own, on the shop's Kafka if that answers, else on a broker that it starts; where brokers "
        "are killed, on three of its own (Java 17). Nothing is left behind. Exit codes: 0 there is a verdict, whether "
        "or not you were right; 1 it came to no end; 2 invalid options, or it cannot run here; 130 stopped."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Options of the command line."""
        parser.add_argument("name", nargs="?", metavar="NAME", help="which experiment; see --list")
        parser.add_argument("--list", action="store_true", help="list the experiments and what can be predicted")
        parser.add_argument("--predict", metavar="CHOICE", help="what you expect (without it, you are asked)")
        parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed makes the same choices (1)")
        parser.add_argument(
            "--rounds", type=int, default=1, metavar="N", help="of acks: kill the leader so many times (1)"
        )
        parser.add_argument("--short", action="store_true", help="with a quarter of the messages, as tests do")
        parser.add_argument("--json", action="store_true", help="the result as one JSON object on standard output")
        parser.add_argument(
            "--status-file", type=Path, metavar="FILE", help="keep what goes on, and the verdict, in this file as JSON"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask, run, and say what came of it."""
        if options["list"]:
            self._list(as_json=options["json"])
            return
        experiment = _chosen(options)
        console = Console(file=cast(IO[str], self.stdout))
        if not options["json"]:
            screen.print_question(console, experiment)
        prediction = options["predict"] or ("" if options["json"] else self._ask(experiment))
        try:
            with processes.sigterm_as_ctrl_c():
                verdict = self._run(experiment, prediction, options)
        except KeyboardInterrupt:
            self.stderr.write("Stopped. Everything of the experiment has been removed.")
            sys.exit(STOPPED)
        if options["json"]:
            self.stdout.write(json.dumps(verdict.as_object()))
        else:
            screen.print_verdict(console, verdict)

    def _run(self, experiment: Experiment, prediction: str, options: dict[str, Any]) -> Verdict:
        status = StatusFile(options["status_file"], experiment, prediction)
        with screen.Screen(Console(stderr=True)) as live, status:
            try:
                verdict = runner.run(
                    experiment,
                    prediction=prediction,
                    seed=options["seed"],
                    rounds=options["rounds"],
                    is_short=options["short"],
                    state=Path(settings.STATE_DIR),
                    report=_both(live.show, status.note),
                )
            except LocalError as error:
                status.fail(str(error))
                raise CommandError(str(error), returncode=CANNOT_RUN) from error
            except (KafkaException, TimeoutError, Unfinished) as error:
                status.fail(str(error))
                raise CommandError(f"The experiment came to no end: {error}.", returncode=NOT_FINISHED) from error
            status.finish(verdict)
        return verdict

    def _ask(self, experiment: Experiment) -> str:
        """The key of what is expected; empty where nobody can be asked, or nothing is said."""
        if not sys.stdin.isatty():
            return ""
        keys = list(experiment.choices)
        while True:
            try:
                said = input(f"What do you expect? 1 to {len(keys)}, or Enter for no prediction: ").strip()
            except EOFError:
                return ""
            if not said:
                return ""
            if said in keys:
                return said
            if said.isdecimal() and 1 <= int(said) <= len(keys):
                return keys[int(said) - 1]

    def _list(self, *, as_json: bool) -> None:
        if not as_json:
            screen.print_list(Console(file=cast(IO[str], self.stdout)), catalogue.EXPERIMENTS)
            return
        fields = ("name", "title", "about", "question", "choices", "seconds", "brokers")
        self.stdout.write(
            json.dumps([{name: getattr(each, name) for name in fields} for each in catalogue.EXPERIMENTS])
        )


def _chosen(options: dict[str, Any]) -> Experiment:
    try:
        if options["name"] is None:
            raise BadChoice("Name an experiment; `manage.py experiment --list` shows them.")
        experiment = catalogue.find(options["name"])
        if options["predict"]:
            experiment.check_prediction(options["predict"])
        if not 1 <= options["rounds"] <= ROUNDS_MAX:
            raise BadChoice(f"--rounds takes a number from 1 to {ROUNDS_MAX}.")
    except BadChoice as error:
        raise CommandError(str(error), returncode=CANNOT_RUN) from error
    return experiment


def _both(*reports: Callable[[str, float], None]) -> Callable[[str, float], None]:
    def report(text: str, done: float) -> None:
        for each in reports:
            each(text, done)

    return report
