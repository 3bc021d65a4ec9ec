"""`python -m benchmarks`: run the benchmarks and print the results."""

import argparse
import dataclasses
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

from benchmarks import machine, report
from benchmarks.environment import BenchmarkEnvironment, TaskFailed
from benchmarks.measured import checkout, cost, observing, relay, saga, sale, sustained
from benchmarks.profile import QUICK, BenchmarkOutcome, Profile
from benchmarks.results import Results
from devtools.local.errors import LocalError
from devtools.local.kafka import kafka_choice
from kafka_bridge.runtime.waiting import Stopped

DESCRIPTION = """\
Measure the shop on this machine. All services are started for the benchmarks, in a separate folder, and removed
afterwards. Progress goes to standard error, the result to standard output. Exit codes: 0 everything was measured,
1 something could not be measured, 2 invalid arguments."""


def commits(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """Orders placed by threads, without HTTP."""
    return BenchmarkOutcome(
        **bench.task(
            "commits",
            bench.process_environment("commits"),
            timeout_seconds=120,
            rounds=profile.rounds,
            seconds=profile.commit_seconds,
        )
    )


def runner(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """Saga events through inbox, handler, outbox and commit."""
    return BenchmarkOutcome(
        **bench.task(
            "runner",
            bench.process_environment("runner"),
            timeout_seconds=240,
            rounds=profile.rounds,
            in_batches=profile.runner_orders,
            one_by_one=profile.single_orders,
        )
    )


def poison(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """One bad message in a hundred, and its effect on the others."""
    return BenchmarkOutcome(
        **bench.task(
            "poison",
            bench.process_environment("poison"),
            timeout_seconds=240,
            rounds=profile.rounds,
            seconds=profile.poison_seconds,
            rate=profile.poison_rate,
        )
    )


def scaling(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """A group of three members against one of a single member."""
    return BenchmarkOutcome(
        **bench.task(
            "scaling",
            bench.process_environment("scaling"),
            timeout_seconds=400,
            rounds=profile.rounds,
            orders=profile.scaling_orders,
            services=bench.pids(),
        )
    )


def restart(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """How soon a consumer works that starts after another one has left."""
    return BenchmarkOutcome(
        **bench.task(
            "restart", bench.process_environment("restart"), timeout_seconds=240, rounds=max(3, profile.rounds)
        )
    )


def stock(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """Orders for the same book."""
    return BenchmarkOutcome(
        **bench.task(
            "stock",
            bench.process_environment("stock"),
            timeout_seconds=240,
            rounds=profile.rounds,
            seconds=profile.stock_seconds,
        )
    )


PARTS: dict[str, Callable[[BenchmarkEnvironment, Profile], BenchmarkOutcome]] = {
    "checkout": checkout.measure,
    "commits": commits,
    "runner": runner,
    "poison": poison,
    "scaling": scaling,
    "restart": restart,
    "relay": relay.measure,
    "saga": saga.measure,
    "cost": cost.measure,
    "observing": observing.measure,
    "stock": stock,
    "sale": sale.measure,
    "sustained": sustained.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that the command line names; returns the exit code."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    django.setup()
    console = Console(stderr=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    results = Results(machine=machine.facts())
    profile = dataclasses.replace(QUICK if options.quick else Profile(), profiles=options.profile or "")
    say = Narrator(console).say
    try:
        with BenchmarkEnvironment(state=Path(settings.STATE_DIR), kafka=options.kafka, stop=stop, say=say) as bench:
            results.machine |= bench.facts
            for name in options.only or PARTS:
                say(f"measuring: {name}")
                _measure(name, bench, profile, results)
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
    """Prints progress, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(f"{time.monotonic() - self._started:5.0f} s  {text}", markup=False, highlight=False)


def _measure(name: str, bench: BenchmarkEnvironment, profile: Profile, results: Results) -> None:
    """Run one benchmark; a failure does not prevent the others."""
    try:
        outcome = PARTS[name](bench, profile)
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
    parser.add_argument("--quick", action="store_true", help="one short run of each: about four minutes, less precise")
    parser.add_argument(
        "--profile",
        metavar="FOLDER",
        type=_folder,
        help="where `sustained` puts profiles of our processes at 50 orders a second (py-spy, collapsed stacks)",
    )
    parser.add_argument(
        "--kafka",
        choices=(kafka_choice.AUTO, kafka_choice.EMBEDDED, kafka_choice.SINGLE),
        default=kafka_choice.AUTO,
        help="the broker: Apache Kafka if Java is installed (auto), librdkafka's (embedded), Apache Kafka (single)",
    )
    return parser


def _folder(name: str) -> str:
    """A folder that is there, or can be made: said before anything is measured."""
    try:
        Path(name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name} cannot be a folder ({error.strerror}): name another") from None
    return name


if __name__ == "__main__":
    sys.exit(main())
