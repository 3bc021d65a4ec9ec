"""Consumer groups of the tests' own."""

from collections.abc import Callable, Iterator

import pytest

from kafka_bridge import registry


@pytest.fixture
def make_group() -> Iterator[Callable[[str], registry.Group]]:
    """Makes groups that are gone after the test."""
    made: list[str] = []

    def make(name: str) -> registry.Group:
        made.append(name)
        return registry.Group(name)

    yield make
    for name in made:
        del registry._groups[name]
