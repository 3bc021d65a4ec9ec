"""What is reckoned from counts and clocks around a load."""

import os
import time

import pytest

from benchmarks.measured import cost


def test_what_came_is_divided_by_the_orders() -> None:
    before = {"messages": {"orders.events": 10, "other": 5}, "wal_bytes": {"all": 1000}}
    after = {"messages": {"orders.events": 50, "other": 5, "new": 3}, "wal_bytes": {"all": 31_000}}
    assert cost.per_order(before, after, 10) == {
        "messages_per_order": {"orders.events": 4.0, "new": 0.3},
        "wal_bytes_per_order": {"all": 3000.0},
    }


def test_what_a_process_takes_at_rest_is_no_orders_cost() -> None:
    meter = cost.Meter({"own": os.getpid()})
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    spent, seconds = meter.spent()
    assert spent["own"] == pytest.approx(0.3, abs=0.15)
    assert meter.spent(at_rest={"own": 1.0})[0]["own"] <= max(0.0, spent["own"] - seconds) + 0.1
