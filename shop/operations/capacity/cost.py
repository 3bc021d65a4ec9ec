"""What an order costs, as `python -m benchmarks --only cost --json` measured it."""

from pathlib import Path

import msgspec

RECORDED = Path(__file__).parent / "cost_per_order.json"
"""What was measured last, and when, at which commit and on what machine; docs/past-one-machine.md shows it."""
_PER_ORDER = dict[str, float]


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One run of orders, from the first click until the last mail was sent."""

    rate: float | None
    """Orders a second; None: as fast as they were taken."""
    orders: int
    ms_per_order: _PER_ORDER
    """By process, milliseconds of processor time."""
    connections: dict[str, int]
    """By role, sessions with PostgreSQL."""

    @property
    def total_ms(self) -> float:
        """Of all processes but the sandbox bank, which is nobody's gateway."""
        return sum(ms for name, ms in self.ms_per_order.items() if name != "gateway")


class OrderCost(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about an order that a plan is made of; sizes in bytes."""

    at: str
    commit: str
    steady: Load
    busy: Load
    ms_per_second_at_rest: dict[str, float]
    """By process, what it takes while nobody wants anything."""
    ms_per_page: dict[str, float]
    """By process, what a visitor's page takes: the front page and a book's, in equal parts."""
    kafka_bytes_per_order: _PER_ORDER
    """Once, without copies, as the brokers store it."""
    table_bytes_per_order: _PER_ORDER
    """By table of PostgreSQL, with its indexes."""
    wal_bytes_per_order: _PER_ORDER
    messages_per_order: _PER_ORDER
    """By topic."""
    handled_per_order: _PER_ORDER
    """By consumer group."""


class _Details(msgspec.Struct, frozen=True):
    cost: OrderCost


class Measurement(msgspec.Struct, frozen=True):
    """The cost, and the machine that it was measured on."""

    machine: dict[str, str]
    details: _Details

    @property
    def cost(self) -> OrderCost:
        """What an order cost there."""
        return self.details.cost


class NoMeasurement(Exception):
    """The file is not what the benchmark prints; the message says what to do."""


def read(file: Path = RECORDED) -> Measurement:
    """A measurement from the benchmark's output.

    Raises:
        NoMeasurement: it cannot be read, or it is something else.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=Measurement)
    except (OSError, msgspec.MsgspecError) as error:
        raise NoMeasurement(
            f"{file} has no measured cost of an order ({error}). Make one: "
            "python -m benchmarks --only cost --json > FILE"
        ) from error
