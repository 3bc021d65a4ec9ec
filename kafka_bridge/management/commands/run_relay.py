"""`manage.py run_relay`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.monitoring.heartbeats import reporting
from kafka_bridge.publishing import relay
from kafka_bridge.runtime import access_errors, processes, supervision
from kafka_bridge.runtime.postgresql import database_bounds, leadership


class Command(BaseCommand):
    """Runs the relay until SIGTERM or Ctrl-C."""

    # Checked by `migrate` and in CI; here they would only load every page before the first message.
    requires_system_checks = ()
    help = (
        "Bring the outbox's rows to Kafka. Run two: one leads (an advisory lock in PostgreSQL), the other takes over "
        "within a second or two when the leader ends. Exit code 1: the producer failed for good, start it again. Exit "
        "code 4: the lock that makes one lead would not hold. Exit code 5: the brokers refuse the sign-in."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        database_bounds.bound_statements()
        try:
            with reporting.reporting("relay"):
                sent = relay.run(processes.stop_on_signals())
        except relay.FatalProducerError as error:
            raise CommandError(f"The producer failed for good: {error}. Start the relay again.") from error
        except leadership.SharedSession as error:
            raise CommandError(f"relay: {error}", returncode=supervision.NEEDS_A_PERSON) from error
        except access_errors.AccessRefused as error:
            raise CommandError(f"relay: {error}", returncode=access_errors.EXIT_CODE) from error
        self.stderr.write(f"relay: stopped after {sent} events")
