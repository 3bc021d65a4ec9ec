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
from benchmarks.effort import QUICK, Effort, Outcome
from benchmarks.results import Results
from benchmarks.stage import Stage, TaskFailed
from devtools.local import kafka_choice
from devtools.local.errors import LocalError
from kafka_bridge.runtime.waiting import Stopped

DESCRIPTION = """\
Measure the shop on this machine: everything is started for the purpose, in a folder of its own, and removed
afterwards. Progress goes to standard error, the result to standard output. Exit code 0: all was measured;
1: something could not be, and it says what; 2: wrong arguments."""


def commits(stage: Stage, effort: Effort) -> Outcome:
    """Orders placed by threads, without HTTP."""
    return Outcome(
        **stage.task(
            "commits",
            stage.environment("commits"),
            timeout_seconds=120,
            rounds=effort.rounds,
            seconds=effort.commit_seconds,
        )
    )


def runner(stage: Stage, effort: Effort) -> Outcome:
    """Saga events through inbox, handler, outbox and commit."""
    return Outcome(
        **stage.task(
            "runner",
            stage.environment("runner"),
            timeout_seconds=240,
            rounds=effort.rounds,
            in_batches=effort.runner_orders,
            one_by_one=effort.single_orders,
        )
    )


def poison(stage: Stage, effort: Effort) -> Outcome:
    """One bad message in a hundred, and what the others notice of it."""
    return Outcome(
        **stage.task(
            "poison",
            stage.environment("poison"),
            timeout_seconds=240,
            rounds=effort.rounds,
            seconds=effort.poison_seconds,
            rate=effort.poison_rate,
        )
    )


def scaling(stage: Stage, effort: Effort) -> Outcome:
    """A group of three members against one of a single member."""
    return Outcome(
        **stage.task(
            "scaling",
            stage.environment("scaling"),
            timeout_seconds=400,
            rounds=effort.rounds,
            orders=effort.scaling_orders,
            services=stage.pids(),
        )
    )


def restart(stage: Stage, effort: Effort) -> Outcome:
    """A consumer that starts after another one has left."""
    return Outcome(
        **stage.task("restart", stage.environment("restart"), timeout_seconds=240, rounds=max(3, effort.rounds))
    )


def stock(stage: Stage, effort: Effort) -> Outcome:
    """Orders that all want the same book."""
    return Outcome(
        **stage.task(
            "stock",
            stage.environment("stock"),
            timeout_seconds=240,
            rounds=effort.rounds,
            seconds=effort.stock_seconds,
        )
    )


PARTS: dict[str, Callable[[Stage, Effort], Outcome]] = {
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
    effort = QUICK if options.quick else Effort()
    say = Narrator(console).say
    try:
        with Stage(state=Path(settings.STATE_DIR), kafka=options.kafka, stop=stop, say=say) as stage:
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


def _measure(name: str, stage: Stage, effort: Effort, results: Results) -> None:
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
