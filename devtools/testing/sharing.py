"""How several processes share a test run (pytest-xdist): which tests stay together, and which come first.

Tests of the whole running shop take longest, so one process begins with them and has all of them. Browser tests come
last: from the first one on, Playwright's event loop lives in the main thread of their process. The rest goes file by
file. What a file needs is read from its text, for the process that shares out the work sees nothing else of it.
"""

from functools import cache
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

_PROJECT = Path(__file__).parents[2]
_SHOP, _BROWSER = "whole shop", "browser"


def place_in_line(item: pytest.Item) -> tuple[int, bool]:
    """Sorts the tests of a run."""
    scope = _scope(item.nodeid)
    return {_SHOP: 0, _BROWSER: 2}.get(scope, 1), item.get_closest_marker("browser") is not None


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist does not export its types
    """Hands out what stays together as a whole, in the sequence of the run."""

    def _split_scope(self, nodeid: str) -> str:
        return _scope(nodeid)


def _scope(nodeid: str) -> str:
    return _scope_of_file(nodeid.split("::", 1)[0])


@cache
def _scope_of_file(path: str) -> str:
    text = (_PROJECT / path).read_text()
    if "mark.browser" in text:
        return _BROWSER
    return _SHOP if "running_shop" in text else path
