"""E9: handling times, errors and retries of the last minute, out of what processes have counted since they began."""

import pytest

from kafka_bridge.monitoring.groups.handling_rates import HandlingRates
from kafka_bridge.monitoring.heartbeats.heartbeat import BUCKET_SECONDS, Heartbeat, PartitionCounters

pytestmark = pytest.mark.operations
PLACE = ("orders", "orders.events", 0)


def beat(instance: str, *, handled: int, failed: int = 0, started_at: float = 0) -> Heartbeat:
    """A consumer that has handled so many, each within 10 ms; without counters while it has done nothing."""
    times = [0] * (len(BUCKET_SECONDS) + 1)
    times[3] = handled
    counters = PartitionCounters(
        group=PLACE[0], topic=PLACE[1], partition=PLACE[2], handled=handled, failed=failed, retried=failed, parked=0,
        dead=0, buckets=tuple(times),
    )  # fmt: skip
    return Heartbeat(
        role="orders", instance=instance, host="h", pid=1, version="1", started_at=started_at, beat_at=0,
        state="working", doing="", progressed_at=None, memory_bytes=1, cpu_seconds=0,
        counters=(counters,) if handled else (),
    )  # fmt: skip


def test_only_what_was_done_within_the_minute_counts() -> None:
    rates = HandlingRates()
    assert rates.update([], 1000) == {}
    rates.update([beat("idle", handled=0), beat("busy", handled=100)], 1005)
    beats = [
        beat("idle", handled=6),
        beat("busy", handled=110, failed=2),
        beat("began since", handled=5, started_at=1010),
        beat("not heard of before", handled=999),
    ]
    found = rates.update(beats, 1030)[PLACE]
    assert (found.handled, found.failed) == (6 + 10 + 5, 2)
    assert found.error_rate == found.retry_rate == pytest.approx(2 / 23)
    assert found.percentiles[0] is not None and 0.005 < found.percentiles[0] <= 0.01
    later = rates.update(beats, 1095)[PLACE]
    assert (later.handled, later.error_rate, list(later.percentiles)) == (0, None, [None, None, None])
