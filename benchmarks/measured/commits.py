"""Placing orders without HTTP: group commit compared with a transaction for each order."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection

from benchmarks import drafts
from benchmarks.baselines import plain
from orders.placing import placement

THREADS = 16
Place = Callable[[placement.Draft], object]


def measure(*, rounds: int, seconds: float) -> dict[str, Any]:
    """Orders placed per second by 16 threads, in three variants, in turn."""
    variants: dict[str, Place] = {
        "group_commit_per_s": placement.place,
        "single_commit_per_s": _place_alone,
        "orm_commit_per_s": plain.place,
    }
    for variant in variants.values():
        _run(variant, seconds=0.3)
    runs: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            runs[name].append(_run(variant, seconds=seconds))
    runs["group_commit_vs_single"] = _ratios(runs["group_commit_per_s"], runs["single_commit_per_s"])
    return {"runs": runs, "details": {"threads": THREADS}}


def _ratios(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(one, other, strict=True)]


def _place_alone(draft: placement.Draft) -> object:
    """The statements of the group commit for one order only."""
    (placed,) = placement._commit([draft])
    if isinstance(placed, Exception):
        raise placed
    return placed


def _run(place: Place, *, seconds: float) -> float:
    """Orders per second.

    Raises:
        RuntimeError: a thread could not place an order.
    """
    counts = [0] * THREADS
    errors: list[Exception] = []
    barrier = threading.Barrier(THREADS + 1)

    def buy(number: int) -> None:
        wanted = drafts.endless(seed=number)
        draft = next(wanted)
        barrier.wait()
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                place(draft)
                counts[number] += 1
                draft = next(wanted)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=buy, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    barrier.wait()
    started = time.monotonic()
    for thread in threads:
        thread.join()
    if errors:
        raise RuntimeError(f"{len(errors)} of {THREADS} threads failed: {errors[0]!r}") from errors[0]
    return sum(counts) / (time.monotonic() - started)
