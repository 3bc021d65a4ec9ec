"""Pseudo-random choices that are always the same for the same book."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A stream of numbers from a seed text. Unlike `random`, it is the same in every version of Python."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._rolls = 0

    def between(self, low: float, high: float) -> float:
        """A number from low to high."""
        self._rolls += 1
        digest = hashlib.blake2b(f"{self._seed}/{self._rolls}".encode(), digest_size=8).digest()
        return low + (high - low) * int.from_bytes(digest) / (1 << 64)

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return min(int(self.between(low, high + 1)), high)

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices."""
        return choices[self.whole(0, len(choices) - 1)]
