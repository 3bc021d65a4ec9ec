"""A flash sale through the whole saga: thousands of buyers, few units, every role in a separate process."""

from typing import Any

from benchmarks import machine
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.profile import BenchmarkOutcome, Profile

# The first sale fills caches and pools; memory is compared from the second one on.
SALES_MIN = 3


def measure(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """Sales one after the other: how soon all buyers have an outcome, and whether the memory of a role grows."""
    outcome = BenchmarkOutcome()
    environment = bench.process_environment("sale")
    roles, _ = bench.roles(environment)
    memory: list[dict[str, float]] = []
    sales: list[dict[str, Any]] = []
    roles.start()
    try:
        roles.wait_ready()
        for number in range(max(SALES_MIN, profile.rounds)):
            arguments = [
                "--buyers",
                str(profile.sale_buyers),
                "--units",
                str(profile.sale_units),
                "--seed",
                str(number),
            ]
            sale = bench.manage_json("sale", ["simulate_flash_sale", *arguments, "--json"], environment)
            sales.append(sale)
            memory.append(machine.memory_mib(bench.pids(roles)))
            outcome.note("sale_click_p99_ms", sale["click_p99_ms"])
            outcome.note("sale_outcome_p99_ms", sale["outcome_p99_ms"])
            outcome.note("sale_last_outcome_s", sale["last_outcome_after_s"])
    finally:
        roles.stop()
    growth = growth_percent(memory[1], memory[-1], only=roles.names, sales=len(memory) - 2)
    outcome.note("sale_memory_growth_percent", max(growth.values()))
    outcome.details = {
        "verdicts": [sale["verdict"] for sale in sales],
        "units_sold": [sale["units_sold"] for sale in sales],
        "growth_percent": {name: round(percent, 1) for name, percent in growth.items()},
        "memory_mib": [{name: round(mib, 1) for name, mib in each.items()} for each in memory],
    }
    return outcome


def growth_percent(
    before: dict[str, float], after: dict[str, float], *, only: list[str], sales: int
) -> dict[str, float]:
    """The memory growth of each of these processes per sale."""
    return {name: 100 * (after[name] / before[name] - 1) / max(1, sales) for name in only if name in before}
