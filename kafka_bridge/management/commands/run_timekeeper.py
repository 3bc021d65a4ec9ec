"""`manage.py run_timekeeper`."""

from typing import Any

from django.core.management.base import BaseCommand

from kafka_bridge.runtime import processes, scheduler


class Command(BaseCommand):
    """Runs the timekeeper until SIGTERM or Ctrl-C."""

    # Checked by `migrate` and in CI; here they would only load every page before the first message.
    requires_system_checks = ()
    help = "Run what the clock starts (deadlines, sweeps, samples). Run two: one leads, the other stands by."

    def handle(self, *args: Any, **options: Any) -> None:
        scheduler.run(processes.stop_on_signals())
        self.stderr.write("timekeeper: stopped")
