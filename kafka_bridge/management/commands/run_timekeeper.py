"""`manage.py run_timekeeper`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.monitoring.heartbeats import reporting
from kafka_bridge.runtime import processes, scheduler, supervision
from kafka_bridge.runtime.postgresql import database_bounds, leadership


class Command(BaseCommand):
    """Runs the timekeeper until SIGTERM or Ctrl-C."""

    # Checked by `migrate` and in CI; here they would only load every page before the first message.
    requires_system_checks = ()
    help = (
        "Run what the clock starts (deadlines, sweeps, samples). Run two: one leads, the other stands by. Exit code 4: "
        "the lock that makes one lead would not hold."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        database_bounds.bound_statements()
        try:
            with reporting.reporting("timekeeper"):
                scheduler.run(processes.stop_on_signals())
        except leadership.SharedSession as error:
            raise CommandError(f"timekeeper: {error}", returncode=supervision.NEEDS_A_PERSON) from error
        self.stderr.write("timekeeper: stopped")
