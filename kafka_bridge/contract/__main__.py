"""`python -m kafka_bridge.contract`: try every promise, and say which are kept."""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import django
from django.core.exceptions import ImproperlyConfigured
from rich.console import Console
from rich.markup import escape
from rich.table import Table

KEPT, BROKEN, CANNOT_RUN = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one promise fared."""

    promise: str
    kept: bool
    seconds: float
    why: str


def main(arguments: list[str] | None = None) -> int:
    """Try every promise; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="kafka_bridge.contract",
        description="Try what the bridge promises against this project's settings, database and brokers. It uses "
        "topics, groups and rows of its own and deletes them. Exit code: 0 every promise was kept, 1 one was not, "
        "2 it cannot be tried here.",
    )
    parser.add_argument("--settings", help="the settings module (default: DJANGO_SETTINGS_MODULE)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args(arguments)
    try:
        _set_up(options.settings)
        from kafka_bridge.contract import stage  # noqa: PLC0415 - models, which need Django
    except (ImproperlyConfigured, ImportError) as error:
        return _cannot_run(str(error), as_json=options.json)
    console = Console(stderr=options.json)
    try:
        results = list(_tried(console))
    except stage.CannotRun as error:
        return _cannot_run(str(error), as_json=options.json)
    if options.json:
        sys.stdout.write(
            json.dumps({"kept": all(result.kept for result in results), "promises": [asdict(each) for each in results]})
        )
    else:
        console.print(_table(results))
    return KEPT if all(result.kept for result in results) else BROKEN


def _set_up(module: str | None) -> None:
    if module:
        os.environ["DJANGO_SETTINGS_MODULE"] = module
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise ImproperlyConfigured("Which project? Set DJANGO_SETTINGS_MODULE, or name its settings with --settings.")
    sys.path.insert(0, os.getcwd())
    django.setup()
    # Failures are a part of it; the report says what matters.
    logging.getLogger("kafka_bridge").setLevel(logging.CRITICAL)


def _tried(console: Console) -> Iterator[Result]:
    from kafka_bridge.contract import promises, stage  # noqa: PLC0415 - models, which need Django
    from kafka_bridge.runtime import clients  # noqa: PLC0415

    with stage.opened() as opened:
        console.print(f"{opened.words.run} on {clients.conf().bootstrap_servers}, {clients.broker_count()} brokers")
        for promise in promises.PROMISES:
            began, why = time.monotonic(), ""
            with console.status(promise.name):
                try:
                    promise.hold(opened)
                except Exception as error:
                    why = f"{type(error).__name__}: {error}"
            yield Result(promise=promise.name, kept=not why, seconds=round(time.monotonic() - began, 1), why=why)


def _table(results: list[Result]) -> Table:
    table = Table(title="What the bridge promises")
    table.add_column("promise")
    table.add_column("kept")
    table.add_column("seconds", justify="right")
    for result in results:
        kept = "[green]yes" if result.kept else "[bold red]no"
        words = f"{result.promise}\n[red]{escape(result.why)}" if result.why else result.promise
        table.add_row(words, kept, f"{result.seconds:g}")
    return table


def _cannot_run(reason: str, *, as_json: bool) -> int:
    if as_json:
        sys.stdout.write(json.dumps({"kept": None, "why": reason}))
    else:
        Console(stderr=True).print(f"The contract cannot be tried here. {reason}", highlight=False, markup=False)
    return CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main())
