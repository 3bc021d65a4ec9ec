"""Tables kept for a moment."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from kafka_bridge.runtime import waiting
from shop.site.ttl_cache import TtlCache


def test_it_is_loaded_once_while_young_and_again_when_old() -> None:
    snapshot = TtlCache(count(1).__next__, max_age_seconds=0.2)

    assert [snapshot.get() for _ in range(100)] == [1] * 100
    waiting.until(lambda: snapshot.get() != 1, what="a second look", timeout_seconds=5)
    assert snapshot.get() == 2


def test_forgetting_loads_again() -> None:
    snapshot = TtlCache(count(1).__next__, max_age_seconds=60)
    first = snapshot.get()
    snapshot.forget()
    assert (first, snapshot.get()) == (1, 2)


def test_many_threads_make_one_load() -> None:
    loads = count(1)
    together = threading.Barrier(16)
    snapshot = TtlCache(loads.__next__, max_age_seconds=60)

    def ask(_: int) -> int:
        together.wait(10)
        return snapshot.get()

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(16))) == [1] * 16
    assert next(loads) == 2


def test_an_error_reaches_the_caller_and_the_last_known_table_stays() -> None:
    answers = iter([1])
    snapshot = TtlCache(lambda: next(answers), max_age_seconds=0)
    assert snapshot.get() == 1
    with pytest.raises(StopIteration):
        snapshot.get()
    assert snapshot.last_known() == 1
