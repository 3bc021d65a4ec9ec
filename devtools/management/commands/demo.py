"""`manage.py demo`."""

import argparse
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from devtools.local import demo
from devtools.local.errors import LocalError


class Command(BaseCommand):
    """Runs the whole shop on this machine until Ctrl-C."""

    help = (
        "Start PostgreSQL, Redis, Kafka and every role of the shop on this machine, and stop them on Ctrl-C. Data is "
        "kept in the state folder (BOOKRUSH_STATE_DIR). Exit code 1: it could not start; the message says why."
    )
    # The demo starts its own database; nothing can be checked before that.
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's way of saying so

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Options of the command line."""
        parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="the shop's port; sockets take the next (8000)")
        parser.add_argument(
            "--kafka",
            default="auto",
            metavar="KAFKA",
            help="embedded (librdkafka's, in memory), single or cluster (one or three Apache Kafka brokers; needs Java "
            "17), host:port of a running one, or auto (the default): single if Java is installed, else embedded",
        )
        parser.add_argument("--reset", action="store_true", help="delete the demo's data first")
        parser.add_argument(
            "--observability", action="store_true", help="start Prometheus as well, where it is installed"
        )
        parser.add_argument("--open", action="store_true", help="open the shop in a browser")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop."""
        wanted = demo.Options(
            host=options["host"],
            port=options["port"],
            kafka=options["kafka"],
            state=Path(settings.STATE_DIR),
            reset=options["reset"],
            open_browser=options["open"],
            observability=options["observability"],
        )
        try:
            demo.Demo(wanted, Console()).run()
        except LocalError as error:
            raise CommandError(str(error)) from error
