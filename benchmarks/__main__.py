"""`python -m benchmarks`: measure, and say what was found."""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import django
from django.conf import settings
from rich.console import Console

from benchmarks import checkout, machine, relay, report, saga, sale
from benchmarks.environment import Environment, TaskFailed
from benchmarks.profile import QUICK, BenchmarkOutcome, Profile
from benchmarks.results import Results
from devtools.local import kafka_choice
from devtools.local.errors import LocalError
from kafka_bridge.runtime.waiting import Stopped

DESCRIPTION = """\
Measure the shop on this machine: everything is started for the purpose, in a folder of its own, and removed
afterwards. Progress goes to standard error, the result to standard output. Exit code 0: all was measured;
1: something could not be, and it says what; 2: wrong arguments."""


def commits(stage: Environment, effort: Profile) -> BenchmarkOutcome:
    """Orders placed by threads, without HTTP."""
    return BenchmarkOutcome(
        **stage.task(
            "commits",
            stage.environment("commits"),
            timeout_seconds=120,
            rounds=effort.rounds,
            seconds=effort.commit_seconds,
        )
    )


def runner(stage: Environment, effort: Profile) -> BenchmarkOutcome:
    """Saga events through inbox, handler, outbox and commit."""
    return BenchmarkOutcome(
        **stage.task(
            "runner",
            stage.environment("runner"),
            timeout_seconds=240,
            rounds=effort.rounds,
            in_batches=effort.runner_orders,
            one_by_one=effort.single_orders,
        )
    )


def poison(stage: Environment, effort: Profile) -> BenchmarkOutcome:
    """One bad message in a hundred, and what the others notice of it."""
    return BenchmarkOutcome(
        **stage.task(
            "poison",
            stage.environment("poison"),
            timeout_seconds=240,
            rounds=effort.rounds,
            seconds=effort.poison_seconds,
            rate=effort.poison_rate,
        )
    )


def scaling(stage: Environment, effort: Profile) -> BenchmarkOutcome:
    """A group of three members against one of a single member."""
    return BenchmarkOutcome(
        **stage.task(
            "scaling",
            stage.environment("scaling"),
            timeout_seconds=400,
            rounds=effort.rounds,
            orders=effort.scaling_orders,
            services=stage.pids(),
        )
    )


def restart(stage: Environment, effort: Profile) -> BenchmarkOutcome:
    """A consumer that starts after another one has left."""
    return BenchmarkOutcome(
        **stage.task("restart", stage.environment("restart"), timeout_seconds=240, rounds=max(3, effort.rounds))
    )


def stock(stage: Environment, effort: Profile) -> BenchmarkOutcome:
    """Orders that all want the same book."""
    return BenchmarkOutcome(
        **stage.task(
            "stock",
            stage.environment("stock"),
            timeout_seconds=240,
            rounds=effort.rounds,
            seconds=effort.stock_seconds,
        )
    )


PARTS: dict[str, Callable[[Environment, Profile], BenchmarkOutcome]] = {
    "checkout": checkout.measure,
    "commits": commits,
    "runner": runner,
    "poison": poison,
    "scaling": scaling,
    "restart": restart,
    "relay": relay.measure,
    "saga": saga.measure,
    "stock": stock,
    "sale": sale.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; returns the exit code."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    django.setup()
    console = Console(stderr=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    results = Results(machine=machine.facts())
    effort = QUICK if options.quick else Profile()
    say = Narrator(console).say
    try:
        with Environment(state=Path(settings.STATE_DIR), kafka=options.kafka, stop=stop, say=say) as stage:
            results.machine |= stage.facts
            for name in options.only or PARTS:
                say(f"measuring: {name}")
                _measure(name, stage, effort, results)
    except Stopped:
        say("stopped")
        return 130
    except LocalError as error:
        results.problems.append(f"anything: {error}")
    say("done")
    if options.json:
        print(json.dumps(results.as_dict()))
    else:
        report.print_tables(results, Console())
    for problem in results.problems:
        console.print(f"Could not measure {problem}", style="red", markup=False)
    return 1 if results.problems else 0


class Narrator:
    """Says what is being done, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(f"{time.monotonic() - self._started:5.0f} s  {text}", markup=False, highlight=False)


def _measure(name: str, stage: Environment, effort: Profile, results: Results) -> None:
    """One part; what goes wrong in it does not keep the others from being measured."""
    try:
        outcome = PARTS[name](stage, effort)
    except (TaskFailed, LocalError, TimeoutError) as error:
        results.problems.append(f"{name}: {error}")
    else:
        results.add(outcome.runs)
        results.details |= {name: outcome.details} if outcome.details else {}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output instead of tables")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="NAME", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="one short run of each: some four minutes, and rough")
    parser.add_argument(
        "--kafka",
        choices=(kafka_choice.AUTO, kafka_choice.EMBEDDED, kafka_choice.SINGLE),
        default=kafka_choice.AUTO,
        help="the broker: Apache Kafka where Java is (auto), librdkafka's own (embedded), Apache Kafka (single)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
