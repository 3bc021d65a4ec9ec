"""`manage.py run_sandbox_gateway`."""

import argparse
import errno
import socket
import sqlite3
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from payments.sandbox.bank import Bank

STOP_SECONDS = 2
# Calls that stall keep a thread each, and callers that gave up waiting call again.
CALLS_OF_A_CALLER = 3
THREADS_BESIDE = 16


class Command(BaseCommand):
    """Runs the sandbox's bank until SIGTERM or Ctrl-C."""

    # It has no database but its own ledger.
    requires_system_checks = ()
    help = (
        "Run the sandbox gateway: a small bank with test cards, a JSON API, a page on which buyers confirm payments, "
        "and webhooks. It keeps its ledger in SANDBOX_LEDGER_PATH. Listens where SANDBOX_URL says, unless told "
        "otherwise. Run only one on a ledger."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Options of the command line."""
        there = urlsplit(settings.SANDBOX_URL)
        parser.add_argument("--host", default=there.hostname, help=f"where to listen (default: {there.hostname})")
        parser.add_argument("--port", type=int, default=there.port or 80, help=f"(default: {there.port or 80})")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until told to stop.

        Raises:
            CommandError: it cannot listen there, or has no ledger.
        """
        _check_free(options["host"], options["port"])
        _check_ledger(settings.SANDBOX_LEDGER_PATH)
        Granian(
            "payments.sandbox.wsgi:application",
            address=options["host"],
            port=options["port"],
            interface=Interfaces.WSGI,
            workers=1,
            blocking_threads=CALLS_OF_A_CALLER * settings.PAYMENT_CONCURRENT_CALLS + THREADS_BESIDE,
            websockets=False,
            # Below that it only wonders about so many threads; they mostly sleep.
            log_level=LogLevels.error,
            respawn_failed_workers=True,
            respawn_interval=0.5,
            # A call that stalls is not waited for.
            workers_kill_timeout=STOP_SECONDS,
        ).serve()


def _check_free(host: str, port: int) -> None:
    """Granian shares a port with any other process that listens there; two banks on one port would be a riddle."""
    if not 0 < port < 65536:
        raise CommandError(f"--port takes a number from 1 to 65535, not {port}.")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            why = "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            raise CommandError(
                f"The sandbox gateway cannot listen on {host}, port {port}: {why}. Choose others with --host and "
                "--port, and set SANDBOX_URL to match."
            ) from error


def _check_ledger(path: str) -> None:
    bank = Bank(path)
    try:
        bank.open()
    except (sqlite3.Error, OSError) as error:
        raise CommandError(
            f"The sandbox gateway's ledger, {path}, cannot be used: {error}. Set SANDBOX_LEDGER_PATH."
        ) from error
    bank.close()
