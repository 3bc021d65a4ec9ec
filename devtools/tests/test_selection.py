"""Which tests a run has, by their marks and by what it is asked for."""

from typing import Any

import pytest

from devtools.testing import selection

TESTS = {"decides": (), "proves": (pytest.mark.prove,), "takes long": (pytest.mark.prove(long=True),)}


class Item:
    """As much of a collected test as is read."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get_closest_marker(self, _: str) -> pytest.Mark | None:
        return next((decorator.mark for decorator in TESTS[self.name]), None)


@pytest.mark.parametrize(
    ("asked", "names", "left"),
    [
        ({}, TESTS, ["decides"]),
        ({"prove": True}, TESTS, ["proves", "takes long"]),
        ({"prove": True, "short": True}, TESTS, ["proves"]),
        ({"markexpr": "prove and stock"}, TESTS, [*TESTS]),
        ({}, ["takes long"], ["takes long"]),
    ],
    ids=["make test", "make prove", "SHORT=1", "-m", "by name"],
)
def test_what_is_left(
    asked: dict[str, Any], names: list[str], left: list[str], pytestconfig: pytest.Config, monkeypatch: Any
) -> None:
    for name, value in ({"prove": False, "short": False, "markexpr": ""} | asked).items():
        monkeypatch.setattr(pytestconfig.option, name, value)
    monkeypatch.setattr(pytestconfig.hook, "pytest_deselected", lambda items: None)
    items: list[Any] = [Item(name) for name in names]
    selection.select(pytestconfig, items)
    assert [item.name for item in items] == left
