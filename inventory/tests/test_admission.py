"""Admission: what the Redis counters admit, and that wrong, lost, full or unreachable counters do no harm."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from django.db import connection, transaction
from django_redis import get_redis_connection

from inventory import queries, stock_adjustments
from inventory.models import Reservation, Stock
from inventory.redis_counters import admission, counter_sync
from inventory.redis_counters.admission import AdmissionDecision
from inventory.reservations import holds

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock]
ADMITTED, REFUSED, UNKNOWN, INVALID = (
    AdmissionDecision.ADMITTED,
    AdmissionDecision.REFUSED,
    AdmissionDecision.UNKNOWN,
    AdmissionDecision.INVALID,
)


@pytest.fixture(autouse=True)
def awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test backs off because Redis was unavailable in another one."""
    monkeypatch.setattr(admission, "_backoff_until", 0.0)


@pytest.fixture
def stock() -> Iterator[redis.Redis]:
    """The Redis database of the counters."""
    yield get_redis_connection("stock")


def receive(**quantities: int) -> None:
    with transaction.atomic():
        stock_adjustments.receive(quantities=quantities, reason="test")


def start_counters(**quantities: int) -> None:
    """Receive these units, and build the counters."""
    receive(**quantities)
    counter_sync.sync()


def admit(*orders: dict[str, int]) -> list[AdmissionDecision]:
    return admission.admit([(uuid4(), units) for units in orders])


def hold(*requests: dict[str, int], ids: list[UUID] | None = None) -> list[bool]:
    """Hold these baskets in one batch; which of them were held."""
    ids = ids or [uuid4() for _ in requests]
    with transaction.atomic():
        outcomes = holds.hold(
            requests=[holds.ReservationRequest(order_id=i, units=units) for i, units in zip(ids, requests, strict=True)]
        )
    return [outcomes[i].held for i in ids]


def free(name: str) -> int:
    return Stock.objects.get(pk=name).free


def snapshot(stock: redis.Redis) -> dict[str, bytes]:
    """What a snapshot on disk would contain."""
    return {key: value for key in admission.KEYS if (value := stock.dump(key)) is not None}


def in_step(*names: str) -> bool:
    """The counters equal PostgreSQL, and no order is admitted."""
    mirror = admission.read_mirror()
    return (
        mirror.verified
        and not mirror.admitted
        and not mirror.taken
        and all(mirror.free[name] == free(name) for name in names)
    )


# -- what it says ---------------------------------------------------------------------------------
def test_all_lines_or_none_first_come_first_served() -> None:
    start_counters(a=3, b=1)
    assert admit({"a": 2, "b": 1}, {"a": 1, "b": 1}, {"a": 4}, {"a": 1}) == [ADMITTED, UNKNOWN, REFUSED, ADMITTED]
    assert admission.read_mirror().taken == {"a": 3, "b": 1}
    assert admission.read_available(["a", "b"]) == {"a": 0, "b": 0}


def test_no_refusal_while_an_order_under_way_may_still_be_rolled_back() -> None:
    """The first order may yet be rolled back; only PostgreSQL can tell, so the counters do not."""
    start_counters(a=1)
    assert admit({"a": 1}, {"a": 1}) == [ADMITTED, UNKNOWN]


def test_the_same_order_is_admitted_once_however_often_it_asks() -> None:
    start_counters(a=3)
    order = uuid4()
    for _ in range(3):
        assert admission.admit([(order, {"a": 2})]) == [ADMITTED]
    assert admission.read_mirror().taken == {"a": 2}


@pytest.mark.parametrize("units", [0, -3, 21, 10**9])
def test_impossible_quantities_are_refused_and_move_no_counter(units: int) -> None:
    """Minus three once raised a naive counter from 5 to 8."""
    start_counters(a=5)
    assert admit({"a": units}, {"a": 1}) == [INVALID, ADMITTED]
    assert admission.read_available(["a"]) == {"a": 4}
    with pytest.raises(ValueError, match="must be 1 to 20"):
        hold({"a": units})
    assert free("a") == 5


def test_half_a_unit_is_invalid(stock: redis.Redis) -> None:
    start_counters(a=5)
    assert stock.eval(admission._ADMIT, 5, *admission.KEYS, f'[["{uuid4()}", [["a", 1.5]]]]', 20, "0") == [INVALID]
    assert stock.eval(admission._ADMIT, 5, *admission.KEYS, f'[["{uuid4()}", [["a", "1"]]]]', 20, "0") == [INVALID]


def test_a_pool_without_a_counter_is_unknown_and_never_empty() -> None:
    start_counters(a=1)
    assert admit({"new": 1}) == [UNKNOWN]
    assert admission.read_available(["a", "new"]) == {"a": 1}


def test_a_batch_is_one_call_and_its_end_another(stock: redis.Redis) -> None:
    """Whatever the number of orders; and the hot row is locked once."""
    start_counters(a=300)
    before = stock.info("commandstats")
    assert hold(*[{"a": 1}] * 200) == [True] * 200
    after = stock.info("commandstats")
    calls = {
        name: after.get(f"cmdstat_{name}", {"calls": 0})["calls"] - before.get(f"cmdstat_{name}", {"calls": 0})["calls"]
        for name in ("evalsha", "eval")
    }
    assert calls == {"evalsha": 2, "eval": 0}


def test_counters_are_updated_after_the_commit() -> None:
    start_counters(a=3, b=3)
    assert hold({"a": 1, "b": 2}, {"a": 3}) == [True, False]
    assert in_step("a", "b")
    assert admission.read_available(["a", "b"]) == {"a": 2, "b": 1}


def test_what_is_rolled_back_stays_admitted_and_is_not_taken_twice() -> None:
    """The consumer dies between Redis and the commit; the same orders come again."""
    start_counters(a=3)
    ids = [uuid4(), uuid4()]
    requests = [holds.ReservationRequest(order_id=i, units={"a": 1}) for i in ids]
    with pytest.raises(RuntimeError, match="killed"), transaction.atomic():
        holds.hold(requests=requests)
        raise RuntimeError("killed")
    assert (free("a"), admission.read_available(["a"])) == (3, {"a": 1}), "undersold for a moment, never oversold"
    assert hold({"a": 1}, {"a": 1}, ids=ids) == [True, True]
    assert in_step("a")
    assert (free("a"), admission.read_available(["a"])) == (1, {"a": 1})


def test_an_order_that_is_never_delivered_again_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    start_counters(a=3)
    assert admit({"a": 2}) == [ADMITTED]
    assert counter_sync.sync() == ""
    monkeypatch.setattr(time, "time", lambda: time.monotonic() + 10**10)
    assert counter_sync.sync() == "1 orders settled late"
    assert in_step("a")


def test_updates_in_the_wrong_sequence_leave_the_newest() -> None:
    start_counters(a=9)
    version = admission.read_mirror().version["a"]
    admission.settle(counts=[("a", 4, version + 2)])
    admission.settle(counts=[("a", 7, version + 1)])
    assert admission.read_available(["a"]) == {"a": 4}


# -- when it is wrong -----------------------------------------------------------------------------
def test_counters_that_are_too_high_sell_nothing_that_is_not_there(stock: redis.Redis) -> None:
    """Acknowledged writes of Redis can vanish."""
    start_counters(a=2)
    stock.hset(admission.FREE, "a", 50)
    assert sum(hold(*[{"a": 1}] * 10)) == 2
    assert in_step("a"), "and the counters are right now"


def test_counters_that_are_too_low_refuse_nobody(stock: redis.Redis) -> None:
    start_counters(a=5)
    stock.hset(admission.FREE, "a", 0)
    assert admit({"a": 1}) == [REFUSED]
    assert sum(hold(*[{"a": 1}] * 10)) == 5
    assert in_step("a")


def test_wrong_counters_are_found_and_rebuilt(stock: redis.Redis) -> None:
    start_counters(a=5, b=5)
    stock.hset(admission.FREE, "a", 7)
    assert [(d.pool, d.redis, d.postgresql) for d in counter_sync.differences()] == [("a", 7, 5)]
    assert counter_sync.sync() == "rebuilt from PostgreSQL, because they differed from PostgreSQL for a"
    assert in_step("a", "b")
    assert counter_sync.differences() == []


def test_units_reserved_for_no_order_are_offered_again(stock: redis.Redis) -> None:
    start_counters(a=5)
    stock.hset(admission.TAKEN, "a", 3)
    assert admission.read_available(["a"]) == {"a": 2}
    assert counter_sync.sync() == "rebuilt from PostgreSQL, because they reserved units for no order"
    assert in_step("a")


def test_a_lost_update_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    start_counters(a=5)
    with monkeypatch.context() as lost:
        lost.setattr(admission, "settle", lambda **_: None)
        hold({"a": 1})
    assert admission.read_mirror().free["a"] == 5
    assert counter_sync.sync() == "", "it may be on its way"
    monkeypatch.setattr(counter_sync, "_UPDATED_WITHIN_SECONDS", 0)
    assert counter_sync.sync() == "1 counts updated late"
    assert admission.read_mirror().free["a"] == 4


def test_only_one_rebuild_at_a_time() -> None:
    start_counters(a=5)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [counter_sync.REBUILDER_LOCK])
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(_in_thread, lambda: counter_sync.rebuild("it is a test")).result() == ""
        cursor.execute("SELECT pg_advisory_unlock(%s)", [counter_sync.REBUILDER_LOCK])
    assert counter_sync.rebuild("it is a test") == "rebuilt from PostgreSQL, because it is a test"


def _in_thread(call: Any) -> Any:
    try:
        return call()
    finally:
        connection.close()


def test_updates_during_a_rebuild_stay() -> None:
    start_counters(a=5)

    def read_and_sell() -> list[admission.Count]:
        counts = queries.all_counts()
        hold({"a": 3})
        return counts

    admission.rebuild(read_and_sell)
    assert in_step("a")
    assert admission.read_available(["a"]) == {"a": 2}


# -- when Redis is flushed, restored, frozen, killed, full -------------------------------------------
def test_flushed_in_mid_sale(stock: redis.Redis) -> None:
    """A missing counter is unknown; PostgreSQL sells exactly what there is."""
    start_counters(a=10)
    assert sum(hold(*[{"a": 1}] * 4)) == 4
    stock.flushall()
    assert admission.read_available(["a"]) == {}
    assert queries.available_by_pool(["a"]) == {"a": 6}
    assert sum(hold(*[{"a": 1}] * 10)) == 6
    assert counter_sync.sync().startswith("rebuilt")
    assert in_step("a")
    assert admission.read_available(["a"]) == {"a": 0}


def test_one_counter_lost(stock: redis.Redis) -> None:
    start_counters(a=2, b=2)
    stock.hdel(admission.FREE, "a")
    assert admit({"a": 1}, {"b": 1}) == [UNKNOWN, ADMITTED]
    assert sum(hold(*[{"a": 1}] * 5)) == 2


def test_a_snapshot_of_another_server_is_not_believed(stock: redis.Redis) -> None:
    """Restored from yesterday's file, every count looks plausible."""
    start_counters(a=3)
    yesterday = snapshot(stock)
    assert sum(hold(*[{"a": 1}] * 3)) == 3
    for key, value in yesterday.items():
        stock.restore(key, 0, value, replace=True)
    stock.set(admission.VERIFIED, "0" * 40)  # the run_id of the server that wrote it
    assert admission.read_available(["a"]) == {}
    assert admit({"a": 1}) == [UNKNOWN]
    assert hold({"a": 1}) == [False]
    assert counter_sync.sync().startswith("rebuilt")
    assert in_step("a")


def test_even_a_snapshot_that_is_believed_oversells_nothing(stock: redis.Redis) -> None:
    start_counters(a=3)
    yesterday = snapshot(stock)
    assert sum(hold(*[{"a": 1}] * 3)) == 3
    for key, value in yesterday.items():
        stock.restore(key, 0, value, replace=True)
    assert admit({"a": 1}) == [ADMITTED]
    assert hold({"a": 1}, {"a": 2}) == [False, False]
    assert free("a") == 0


def test_killed(redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Redis PostgreSQL decides; with a new one no counter is believed until the rebuild."""
    start_counters(a=5)
    redis_server.kill()
    assert sum(hold(*[{"a": 1}] * 3)) == 3
    assert queries.available_by_pool(["a"]) == {"a": 2}
    with pytest.raises((redis.RedisError, OSError)):
        counter_sync.sync()
    redis_server.start()
    monkeypatch.setattr(admission, "_backoff_until", 0.0)
    assert sum(hold(*[{"a": 1}] * 3)) == 2
    assert counter_sync.sync().startswith("rebuilt")
    assert in_step("a")


def test_an_outage_costs_one_timeout_and_not_one_per_batch(redis_server: Any) -> None:
    start_counters(a=50)
    redis_server.pause()
    try:
        started = time.monotonic()
        for _ in range(20):
            assert hold({"a": 1}) == [True]
        waited = time.monotonic() - started
    finally:
        redis_server.resume()
    assert waited < 5, "twenty batches waited half a second twice at most, not twenty times"
    assert free("a") == 30


def test_what_a_frozen_redis_does_after_all_does_no_harm(redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that timed out lie in its buffer and are carried out when it wakes up."""
    start_counters(a=5)
    redis_server.pause()
    late = [(uuid4(), {"a": 2})]
    assert admission.admit(late) == [UNKNOWN]
    assert sum(hold(*[{"a": 1}] * 4)) == 4
    redis_server.resume()
    monkeypatch.setattr(admission, "_backoff_until", 0.0)
    assert sum(hold(*[{"a": 1}] * 4)) == 1
    monkeypatch.setattr(time, "time", lambda: time.monotonic() + 10**10)
    monkeypatch.setattr(counter_sync, "_UPDATED_WITHIN_SECONDS", 0)
    counter_sync.sync()
    assert in_step("a")


def test_full(stock: redis.Redis) -> None:
    """A full Redis refuses to count; what it says meanwhile is not believed."""
    start_counters(a=5)
    limit = str(stock.config_get("maxmemory")["maxmemory"])
    stock.config_set("maxmemory", 1)
    try:
        assert admit({"a": 1}) == [UNKNOWN]
        assert sum(hold(*[{"a": 1}] * 3)) == 3
        assert admission.read_available(["a"]) == {}, "better unknown than wrong"
        assert queries.available_by_pool(["a"]) == {"a": 2}
    finally:
        stock.config_set("maxmemory", limit)
    assert sum(hold(*[{"a": 1}] * 3)) == 2
    assert Reservation.objects.filter(state="held").count() == 5
    counter_sync.sync()
    assert in_step("a")


def test_competitors_on_one_sku_while_the_counters_are_flushed_repeatedly(
    stock: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty FLUSHALLs under eight competitors: exactly the units, and the sums hold."""
    start_counters(a=100, b=100)

    def compete(number: int) -> int:
        won = 0
        for turn in range(20):
            if (number + turn) % 3 == 0:
                stock.flushall()
            elif (number + turn) % 5 == 0:
                counter_sync.sync()
            won += sum(hold(*[{"a": 1, "b": 1} if turn % 2 else {"b": 1, "a": 1}] * 3))
        connection.close()
        return won

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(compete, range(8))) == 100
    assert (free("a"), free("b")) == (0, 0)
    # A flush during a rebuild leaves counters missing; they are repaired like any lost update.
    monkeypatch.setattr(counter_sync, "_UPDATED_WITHIN_SECONDS", 0)
    counter_sync.sync()
    assert in_step("a", "b")
