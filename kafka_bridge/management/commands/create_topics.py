"""`manage.py create_topics`."""

import argparse
import json
from dataclasses import asdict
from typing import IO, Any, cast

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from kafka_bridge.runtime import access_errors, clients, conf, topics


class Command(BaseCommand):
    """Makes the catalogue's topics."""

    help = (
        "Make the catalogue's topics and their dead letter topics, and bring partitions and settings of those that "
        "exist up to the catalogue. Safe to run again. Exit code 1: the cluster refused or did not answer. "
        "Exit code 5: this principal may not."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            plans = topics.plan()
            if not options["dry_run"]:
                topics.apply(plans)
        except KafkaException as error:
            if access_errors.was_access_refused(error):
                raise CommandError(access_errors.advice(error.args[0]), returncode=access_errors.EXIT_CODE) from error
            raise CommandError(
                f"Kafka at {clients.conf().bootstrap_servers} did not do it: {error}. "
                f"Is it running, and are {conf.name_of('bootstrap_servers')} and "
                f"{conf.name_of('replication_factor')} right?"
            ) from error
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], "topics": [asdict(plan) for plan in plans]}))
        else:
            self._print(plans, dry_run=options["dry_run"])

    def _print(self, plans: list[topics.TopicChange], *, dry_run: bool) -> None:
        table = Table("topic", "partitions", "copies", "kept", "action", title="Topics" + (" (dry run)" * dry_run))
        for plan in plans:
            days = int(plan.config["retention.ms"]) / 86_400_000
            action = plan.action + (f": {plan.detail}" if plan.detail else "")
            table.add_row(plan.name, str(plan.partitions), str(plan.replication_factor), f"{days:g} d", action)
        Console(file=cast(IO[str], self.stdout)).print(table)
