"""A plan as plain sentences: what it stands on, what limits it, what to set."""

from collections.abc import Iterator

from kafka_bridge.runtime import conf
from shop.operations.capacity.cost import Measurement
from shop.operations.capacity.plan import DAY, Plan

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def of(plan: Plan, measurement: Measurement) -> Iterator[str]:
    """One thing each."""
    yield _measured(measurement)
    yield _all_cores(plan)
    yield from _kafka(plan)
    yield _postgres(plan)
    yield from _limits(plan)


def size(count: float) -> str:
    """Bytes with three significant places, by thousands."""
    for unit in _UNITS:
        if count < 999.5 or unit == _UNITS[-1]:
            return f"{count:.3g} {unit}" if count < 999.5 else f"{count:,.0f} {unit}"
        count /= 1000
    raise AssertionError("the last unit takes everything")


def _measured(measurement: Measurement) -> str:
    cost, machine = measurement.cost, measurement.machine
    steady, busy = cost.steady.total_ms, cost.busy.total_ms
    return (
        f"Measured {cost.at[:10]} at commit {cost.commit or 'unknown'} on {machine.get('cores', '?')} cores with a "
        f"load of {machine.get('load', '?')}, {machine.get('system', '')}: {steady:.0f} ms of processor time an order "
        f"at {cost.steady.rate:g}/s, {busy:.0f} ms as fast as orders were taken. Another processor is faster or "
        "slower; measure yours with python -m benchmarks --only cost --json."
    )


def _all_cores(plan: Plan) -> str:
    wish = plan.wish
    own, busy = (sum(getattr(role, name) for role in plan.roles) for name in ("cores", "cores_when_busy"))
    return (
        f"{plan.cores:,.1f} cores in all, at {wish.headroom:g} times {wish.orders_per_second:g} orders/s with "
        f"{wish.pages_per_order:g} pages each. Of these, {own:,.1f} are the shop's own processes; with full batches "
        f"they take {busy:,.1f}."
    )


def _kafka(plan: Plan) -> Iterator[str]:
    kafka = plan.kafka
    yield (
        f"Kafka: {kafka.brokers} brokers, {kafka.copies} copies, {conf.name_of('partitions')}={kafka.partitions}; "
        f"{kafka.cores:,.1f} cores over all brokers, each copy taken to cost as much as the first; "
        f"{size(kafka.stored_bytes)} on their disks, so {size(kafka.stored_bytes / kafka.brokers)} each."
    )
    if kafka.days_kept < kafka.days_wanted:
        yield (
            f"A partition is full after {kafka.days_kept:.1f} days, and older messages go though they are wanted for "
            f"{kafka.days_wanted:g}: {conf.name_of('partitions')}={kafka.partitions_for_days} keeps them, on "
            f"{size(kafka.stored_bytes * kafka.days_wanted / kafka.days_kept)}."
        )


def _postgres(plan: Plan) -> str:
    postgres = plan.postgres
    return (
        f"PostgreSQL: {postgres.cores:,.1f} cores for the primary, as much for a standby that may take over; "
        f"{postgres.connections:,} connections; {size(postgres.bytes_per_day)} more each day, "
        f"{size(postgres.passing_bytes)} that come and go, {size(postgres.wal_bytes_per_second)}/s of log."
    )


def _limits(plan: Plan) -> Iterator[str]:
    rate = plan.wish.orders_per_second
    for name, cores in plan.too_much_for.items():
        yield (
            f"Too much: {name} is one process that uses one core, and this takes {cores:.1f}. The shop as it is does "
            f"about {rate / cores:,.0f} orders/s with this headroom."
        )
    mails = next(role for role in plan.roles if role.role == "notifications")
    if mails.processes > plan.kafka.partitions:
        yield (
            f"notifications needs {mails.processes} processes because {mails.because}, one after another; those "
            "without a partition send mails too. A mail server that answers sooner needs fewer."
        )
    mean = plan.wish.mean_orders_per_second
    yield (
        f"Days are reckoned at {mean:g} orders/s ({mean * DAY:,.0f} a day). This is reckoned, not tried: a load test "
        "comes before a promise."
    )
