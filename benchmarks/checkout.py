"""Orders over HTTP: how many one web process accepts, against two other ways of answering in the same process."""

from benchmarks import load, stats
from benchmarks.environment import Environment, TaskFailed
from benchmarks.profile import BenchmarkOutcome, Profile
from devtools.local.roles import WEB

CONNECTIONS = 64
# All under /api/, so that what a middleware does for that prefix it does for all three.
PATHS = {
    "checkout_per_s": "/api/orders/",
    "checkout_orm_per_s": "/api/bench/orm/",
    "checkout_parse_per_s": "/api/bench/parse/",
}


def measure(stage: Environment, effort: Profile) -> BenchmarkOutcome:
    """Send orders as fast as they are answered, to the three addresses in turn; the other roles do not run."""
    outcome = BenchmarkOutcome()
    roles, port = stage.roles(stage.environment("checkout"))
    roles.start(WEB)
    try:
        roles.wait_ready(WEB)
        for number in range(effort.rounds):
            for name, path in PATHS.items():
                report = stage.send_orders(
                    load.LoadPlan(
                        port=port,
                        path=path,
                        skus=stage.skus,
                        seconds=effort.checkout_seconds,
                        connections=CONNECTIONS,
                        warm_up_seconds=1.0,
                        seed=number,
                    )
                )
                refuse_errors(report)
                outcome.note(name, len(report.latencies_ms) / report.seconds)
                latency = {f"p{p}_ms": round(stats.percentile(report.latencies_ms, p), 1) for p in (50, 99)}
                outcome.details.setdefault(path, []).append(latency)
    finally:
        roles.stop(WEB)
    for name in ("orm", "parse"):
        pairs = zip(outcome.runs["checkout_per_s"], outcome.runs[f"checkout_{name}_per_s"], strict=True)
        outcome.runs[f"checkout_vs_{name}"] = [ours / theirs for ours, theirs in pairs]
    return outcome


def refuse_errors(report: load.LoadReport) -> None:
    """Only orders that were placed count.

    Raises:
        TaskFailed: something was answered with another status than 201.
    """
    if set(report.statuses) != {201}:
        found = ", ".join(f"{count} times {status}" for status, count in sorted(report.statuses.items()))
        raise TaskFailed(f"not every order was placed ({found or 'no answers'}): {report.first_error}")
