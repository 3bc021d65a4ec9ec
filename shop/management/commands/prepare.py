"""`manage.py prepare`: everything a shop needs before its roles start."""

import argparse
import contextlib
import io
import json
import time
from typing import Any

from confluent_kafka import KafkaException
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.consuming import registry
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import clients, waiting

BROKERS_TIMEOUT_SECONDS = 90
STEPS = ("migrate", "seed", "topics", "republish")


class Command(BaseCommand):
    """Runs several commands in one process, because starting Django takes longer than most of them."""

    help = (
        "Migrate the database, add the first books (and the demo accounts with --demo-users), create the topics, and "
        "publish events again that groups have not handled. Each step is safe to repeat. Prints a line per step."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Options of the command line."""
        parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)} (default: all)")
        parser.add_argument("--demo-users", action="store_true", help="with `seed`: the accounts of a demo as well")
        parser.add_argument("--demo-rates", action="store_true", help="with `seed`: the rates of a demo as well")
        parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the steps one after the other; the first failure ends it."""
        for step in [step for step in STEPS if step in (options["steps"] or STEPS)]:
            started = time.monotonic()
            text = self._take(step, {name: options[name] for name in ("demo_users", "demo_rates")})
            seconds = round(time.monotonic() - started, 2)
            line = json.dumps({"step": step, "text": text, "seconds": seconds}) if options["json"] else text
            self.stdout.write(line)
            self.stdout.flush()

    def _take(self, step: str, demo: dict[str, bool]) -> str:
        printed = io.StringIO()
        if step == "migrate":
            call_command("migrate", interactive=False, verbosity=0)
            return "Database migrated."
        if step == "seed":
            call_command("seed_shop", **demo, stdout=printed)
            return printed.getvalue().strip()
        if step == "topics":
            self._wait_for_brokers()
            call_command("create_topics", json=True, stdout=printed)
            topics = json.loads(printed.getvalue())["topics"]
            return f"{len(topics)} topics, {sum(topic['action'] == 'create' for topic in topics)} of them new."
        rows = outbox.republish_unheard(registry.heard())
        return f"{rows} events published again for groups that had not heard them." if rows else "No event to repeat."

    def _wait_for_brokers(self) -> None:
        """Wait for as many brokers as a topic has replicas, in case the cluster is just starting."""

        def are_there() -> bool:
            with contextlib.suppress(KafkaException):
                return clients.broker_count(timeout_seconds=2) >= clients.conf().replication_factor
            return False

        try:
            waiting.until(are_there, what="Kafka", timeout_seconds=BROKERS_TIMEOUT_SECONDS)
        except TimeoutError as error:
            raise CommandError(
                f"{error} at {clients.conf().bootstrap_servers}. Are all its brokers running?"
            ) from error
