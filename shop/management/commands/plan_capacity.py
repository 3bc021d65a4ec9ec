"""`manage.py plan_capacity`."""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from rich.console import Console
from rich.table import Table

from kafka_bridge.monitoring.groups import capacity
from shop.operations.capacity import cost, plan, sentences

BAD_OPTIONS, NOT_KNOWN, TOO_MUCH = 2, 3, 4
# By option: its bounds, and what it is.
NUMBERS = {
    "orders_per_second": (0.001, 1e6, "orders a second in the busiest hour"),
    "mean_orders_per_second": (
        0.0,
        1e6,
        "the same over weeks, which decides what is stored (default: the busiest hour)",
    ),
    "headroom": (1.0, 100.0, "times the rate (default: 1.5)"),
    "pages_per_order": (0.0, 1e5, "pages that are looked at for each order (default: 20)"),
    "gateway_seconds": (0.0, 60.0, "what a call to the payment gateway takes (default: 0.5)"),
    "mail_seconds": (0.0, 60.0, "what the mail server takes for a mail (default: 0.02, one nearby)"),
    "broker_cores": (0.5, 512.0, "cores of one broker (default: 4)"),
}


class Command(BaseCommand):
    """Says how much of everything a rate of orders takes."""

    requires_system_checks = ()
    help = (
        "How many cores, processes of each role, partitions, brokers, bytes and connections a rate of orders takes, "
        "reckoned from what an order was measured to cost each process. A first size to try, not a promise: "
        "docs/past-one-machine.md says how it is reckoned and what it leaves out. Needs neither Kafka nor a database. "
        "Exit code: 0, 2 for options that make no sense or a file that is no measurement, 3 if --from-samples finds "
        "nothing, 4 if one process that cannot be divided would need more than a core."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        for name, (_, _, meaning) in NUMBERS.items():
            parser.add_argument(
                f"--{name.replace('_', '-')}",
                type=float,
                metavar="N",
                help=meaning,
                required=name == "orders_per_second",
            )
        parser.add_argument(
            "--measured",
            type=Path,
            metavar="FILE",
            help="the output of python -m benchmarks --only cost --json, instead of ours",
        )
        parser.add_argument(
            "--from-samples",
            action="store_true",
            help="members of groups by what one of them handled when it had more to do than it could, as "
            "plan_partitions has it from the samples of the last week, and not by processor time alone",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Reckon, and print."""
        wish = self._wish(options)
        try:
            measurement = cost.read(options["measured"] or cost.RECORDED)
        except cost.NoMeasurement as error:
            raise CommandError(str(error), returncode=BAD_OPTIONS) from error
        found = plan.make(measurement.cost, wish)
        if options["json"]:
            self.stdout.write(json.dumps(_as_object(found, measurement)))
        else:
            self._print(found, measurement)
        if found.too_much_for:
            names = ", ".join(found.too_much_for)
            raise CommandError(f"{names}: cannot be divided, and one core is not enough.", returncode=TOO_MUCH)

    def _wish(self, options: Mapping[str, Any]) -> plan.Wish:
        given = {name: options[name] for name in NUMBERS if options[name] is not None}
        for name, value in given.items():
            least, most, _ = NUMBERS[name]
            if not (math.isfinite(value) and least <= value <= most):
                raise CommandError(
                    f"{_option(name)} takes a number from {least:g} to {most:,.0f}.", returncode=BAD_OPTIONS
                )
        given.setdefault("mean_orders_per_second", given["orders_per_second"])
        if given["mean_orders_per_second"] > given["orders_per_second"]:
            raise CommandError(
                "--mean-orders-per-second is over weeks: it cannot be more than --orders-per-second, the busiest hour.",
                returncode=BAD_OPTIONS,
            )
        rates = self._member_rates() if options["from_samples"] else None
        return plan.Wish(**given, gateway_calls_at_once=settings.PAYMENT_CONCURRENT_CALLS, member_rates=rates)

    def _member_rates(self) -> dict[str, float]:
        try:
            rates = capacity.measured_rates()
        except DatabaseError as error:
            raise CommandError(
                f"PostgreSQL, which has the samples, does not answer ({error}). Leave out --from-samples.",
                returncode=NOT_KNOWN,
            ) from error
        if not rates:
            raise CommandError(
                "No member was seen in the last week with more to do than it could. Let a load run for a minute or two "
                "while the timekeeper takes samples, or leave out --from-samples.",
                returncode=NOT_KNOWN,
            )
        return rates

    def _print(self, found: plan.Plan, measurement: cost.Measurement) -> None:
        console = Console(file=cast(IO[str], self.stdout), soft_wrap=True)
        table = Table("", title=f"For {found.wish.orders_per_second:,g} orders/s")
        for column in ("cores", "with full batches", "processes"):
            table.add_column(column, justify="right")
        table.add_column("because")
        for role in found.roles:
            table.add_row(
                role.role, f"{role.cores:,.2f}", f"{role.cores_when_busy:,.2f}", f"{role.processes:,}", role.because
            )
        table.add_section()
        table.add_row("Kafka", f"{found.kafka.cores:,.2f}", "", f"{found.kafka.brokers:,}", "brokers")
        table.add_row("PostgreSQL", f"{found.postgres.cores:,.2f}", "", "2", "a primary; a standby as big comes on top")
        table.add_row("Redis", f"{found.redis_cores:,.2f}", "", "1", "it uses one core")
        console.print(table)
        for sentence in sentences.of(found, measurement):
            console.print(f"- {sentence}", highlight=False, markup=False)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _as_object(found: plan.Plan, measurement: cost.Measurement) -> dict[str, Any]:
    return {
        **dataclasses.asdict(found),
        "cores": found.cores,
        "too_much_for": found.too_much_for,
        "measured": {"at": measurement.cost.at, "commit": measurement.cost.commit, "machine": measurement.machine},
        "sentences": list(sentences.of(found, measurement)),
    }
