"""`manage.py show_metrics`: every metric that the shop's processes show to Prometheus."""

import json
from dataclasses import asdict
from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.table import Column, Table

from kafka_bridge.runtime import conf
from kafka_bridge.telemetry import buckets, metrics
from kafka_bridge.telemetry.metrics import Declared

COUNTING = (
    "kafka_bridge.publishing.relay",
    "kafka_bridge.runtime.scheduler",
    "orders.mailing.mail_sending",
    "payments.gateway_calls",
    "payments.gateways.circuit_breaker",
    "shop.checkout.ordering",
    "shop.limits.limits",
    "shop.live.server",
    "shop.live.sockets",
    "shop.operations.processes.request_metrics",
)
"""Modules that a process imports when it counts, and this command before."""
HEADINGS = ("metric", "kind", "labels", "counted by", "what it is")


class Command(BaseCommand):
    """The table of metrics, from the code."""

    help = (
        "Show every metric that processes of the shop show to Prometheus, with its labels and who counts it. "
        "docs/metrics.md is made of it: manage.py show_metrics --markdown > docs/metrics.md"
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """How it is printed."""
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--markdown", action="store_true", help="the page docs/metrics.md")
        form.add_argument("--json", action="store_true", help="one JSON array, with an object for each metric")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the table."""
        for module in COUNTING:
            import_module(module)
        found = metrics.declared()
        if options["markdown"]:
            self.stdout.write(as_markdown(found), ending="")
        elif options["json"]:
            self.stdout.write(json.dumps([asdict(metric) | {"name": _full_name(metric)} for metric in found], indent=2))
        else:
            table = Table(*(Column(name, overflow="fold") for name in HEADINGS), title="Metrics")
            for metric in found:
                table.add_row(*_cells(metric))
            Console(file=self.stdout).print(table)  # type: ignore[arg-type]  # it writes text, which is all that is asked


def as_markdown(found: list[Declared]) -> str:
    """The page."""
    limits = ", ".join(f"{seconds:g}" for seconds in buckets.BUCKET_SECONDS)
    rows = [HEADINGS, ["---"] * len(HEADINGS), *([f"`{name}`", *rest] for name, *rest in map(_cells, found))]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return _PAGE.format(table=table, limits=limits)


def _cells(metric: Declared) -> list[str]:
    return [_full_name(metric), metric.kind, ", ".join(metric.labels), metric.by, metric.help]


def _full_name(metric: Declared) -> str:
    return f"{conf.current().metrics_prefix}_{metric.name}"


_PAGE = """# Metrics

Made by `manage.py show_metrics --markdown`; a test compares it with the code.

Each process counts for itself, from its start, and shows that to Prometheus at `/metrics` of a port of its own
(`METRICS_PORT`, on `METRICS_HOST`; with `run_consumer --instances` the children take the next ports). The roles web and
live show the same at `/metrics` of their own port to whoever sends `METRICS_TOKEN` (`Authorization: Bearer …`); without
a token nobody gets it, wherever he asks from, for behind a proxy every request comes from loopback. The proxy of
compose passes no such request on. On Linux there are Prometheus' own `process_…` metrics of memory, CPU and descriptors
as well.

Where granian runs several workers (`--workers`), give the role web a folder of its own, empty at its start, as
`PROMETHEUS_MULTIPROC_DIR`: the workers count together there, and whichever is asked shows the sum.

A message is counted with the partition that it lies in, and with its group; what a group tries again counts for the
partition where the message came from. A message is *handled* in a transaction together with others, and so long as
that took it took each of them. Histograms have buckets up to {limits} seconds.

{table}"""
