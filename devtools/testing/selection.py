"""Which tests a run has: those that decide, or the long forms that prove it.

A case that repeats (seeds, orders, kills, roles) has a form that decides in seconds, without a mark, and the rest of it
marked `prove`: more of the same, for `make prove`. What is marked `prove(long=True)` its short form (SHORT=1) leaves
out. Whoever asks for nothing but long forms, by their names or with `-m prove`, gets them.
"""

import pytest

MARK = "prove"


def add_options(parser: pytest.Parser) -> None:
    """What `make prove` is made of."""
    parser.addoption("--prove", action="store_true", help="run the long forms (marked `prove`) instead of the rest")
    parser.addoption(
        "--short", action="store_true", help="of the long forms, leave out those marked `prove(long=True)`"
    )


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave in `items` what this run has."""
    if config.option.prove:
        wanted = [item for item in items if _is_proof(item, short=config.option.short)]
    elif MARK in config.option.markexpr:
        return
    else:
        wanted = [item for item in items if item.get_closest_marker(MARK) is None] or items
    if len(wanted) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
        items[:] = wanted


def _is_proof(item: pytest.Item, *, short: bool) -> bool:
    mark = item.get_closest_marker(MARK)
    return mark is not None and not (short and mark.kwargs.get("long", False))
