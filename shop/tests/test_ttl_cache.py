"""Tables kept for a moment."""

import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from kafka_bridge.runtime import waiting
from shop.site.ttl_cache import TtlCache, TtlRows


def test_it_is_loaded_once_while_young_and_again_when_old() -> None:
    snapshot = TtlCache(count(1).__next__, max_age_seconds=0.2)

    assert [snapshot.get() for _ in range(100)] == [1] * 100
    waiting.until(lambda: snapshot.get() != 1, what="a second look", timeout_seconds=60)
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


class Table:
    """Rows that can be read by key, and what was read."""

    def __init__(self, **rows: int) -> None:
        self.rows = rows
        self.reads: list[set[str]] = []

    def read(self, keys: Collection[str]) -> dict[str, int]:
        self.reads.append(set(keys))
        return {key: self.rows[key] for key in keys if key in self.rows}


def test_rows_are_loaded_as_they_are_asked_for_also_those_that_are_not_there() -> None:
    table = Table(a=1, b=2, c=3)
    rows = TtlRows(table.read, max_age_seconds=60, keys_max=10)
    assert (rows.get(["a", "x"]), rows.get(["a", "x"]), rows.get(["b"])) == ({"a": 1}, {"a": 1}, {"b": 2})
    assert table.reads == [{"a", "x"}, {"a", "x", "b"}], "what was asked for lately comes along"
    table.rows = {}
    rows.forget()
    assert rows.get(["a"]) == {}
    assert rows.last_known(["a", "b"]) == {}


def test_rows_of_a_database_that_is_away_are_those_held_and_those_held_at_first() -> None:
    table = Table(a=1, b=2, c=3)
    rows = TtlRows(table.read, max_age_seconds=0, keys_max=10, at_first=lambda: ["b"])
    assert rows.get(["a"]) == {"a": 1}
    table.read = None  # type: ignore[assignment,method-assign]
    rows._load = table.read
    with pytest.raises(TypeError):
        rows.get(["a"])
    assert rows.last_known(["a", "b", "c"]) == {"a": 1, "b": 2}


def test_rows_never_fill_the_memory() -> None:
    table = Table(**{f"k{number}": number for number in range(100)})
    rows = TtlRows(table.read, max_age_seconds=0, keys_max=10)
    for key in table.rows:
        assert rows.get([key]) == {key: table.rows[key]}
    assert len(rows._held) <= 10 + 1
    assert len(rows._asked) <= 10 + 1


def test_many_threads_make_one_load_of_the_same_rows() -> None:
    table, together = Table(a=1), threading.Barrier(16)
    rows = TtlRows(table.read, max_age_seconds=60, keys_max=10)

    def ask(_: int) -> dict[str, int]:
        together.wait(10)
        return rows.get(["a"])

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(16))) == [{"a": 1}] * 16
    assert len(table.reads) == 1
