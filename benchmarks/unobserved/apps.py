"""Takes out of a process what watches it."""

from collections.abc import Callable
from typing import Any

from django.apps import AppConfig

from kafka_bridge.monitoring.heartbeats import reporting
from kafka_bridge.runtime import scheduler

Job = Callable[[], None]
JOBS = {"write_overview_sample", "thin_overview_samples", "evaluate_alerts"}


class UnobservedConfig(AppConfig):
    """See the package."""

    name = "benchmarks.unobserved"

    def ready(self) -> None:
        """Before the jobs are registered, and before a process begins."""
        # It cannot be imported while apps are still loaded.
        from shop.operations.alerts import watching  # noqa: PLC0415

        watching.stand_by_forever = _do_nothing
        reporting.start = _start_silently
        scheduler.every = _every_but(scheduler.every)


def _do_nothing() -> None:
    pass


def _start_silently(role: str) -> reporting.Reporter:
    """No store hears of it; who has started it still learns that it is alive."""
    reporter = reporting.Reporter(role, [])
    reporter.start()
    return reporter


def _every_but(every: Callable[..., Callable[[Job], Job]]) -> Callable[..., Callable[[Job], Job]]:
    def decorated(**options: Any) -> Callable[[Job], Job]:
        return lambda function: function if function.__name__ in JOBS else every(**options)(function)

    return decorated
