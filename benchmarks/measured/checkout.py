"""Orders over HTTP: how many one web process accepts, compared with two other implementations in the same process."""

from benchmarks import load, stats
from benchmarks.environment import BenchmarkEnvironment, TaskFailed
from benchmarks.profile import BenchmarkOutcome, Profile
from devtools.local.roles import WEB

CONNECTIONS = 64
# All under /api/, so that middleware treats all three alike.
PATHS = {
    "checkout_per_s": "/api/orders/",
    "checkout_orm_per_s": "/api/bench/orm/",
    "checkout_parse_per_s": "/api/bench/parse/",
}


def measure(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """Send orders as fast as they are answered, to the three URLs in turn; no other role is running."""
    outcome = BenchmarkOutcome()
    roles, port = bench.roles(bench.process_environment("checkout"))
    roles.start(WEB)
    try:
        roles.wait_ready(WEB)
        for number in range(profile.rounds):
            for name, path in PATHS.items():
                report = bench.send_orders(
                    load.LoadPlan(
                        port=port,
                        path=path,
                        skus=bench.skus,
                        seconds=profile.checkout_seconds,
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
    """Refuse a report with errors: only placed orders count.

    Raises:
        TaskFailed: there was another status than 201.
    """
    if set(report.statuses) != {201}:
        found = ", ".join(f"{count} times {status}" for status, count in sorted(report.statuses.items()))
        raise TaskFailed(f"not every order was placed ({found or 'no answers'}): {report.first_error}")
