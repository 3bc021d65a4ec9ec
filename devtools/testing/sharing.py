"""How several processes share a run (pytest-xdist): which tests stay together, who gets them, and what comes first.

What waits longest comes first, so that all end together: tests of the whole running shop, then those with a broker,
then the rest. A shop is a dozen processes, so only `SHOPS` of ours have one, and nobody else gets such tests. Tests of
a shop or of a broker mostly wait: for pages, brokers and timers. So one process begins at the other end, with what
needs neither, and keeps busy the cores that would be idle. Tests of a shop or of a broker go one by one, except where
a file says `together`; others go file by file. What a file needs is read from its text, for the process that shares
out the work sees nothing else of it.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

PROJECT = Path(__file__).parents[2]
_SHOP, _SLOW, _REST = range(3)
SHOPS = 2
# The fixture, or what a file of such tests lends to another one; no folder, and no test's name.
_SHOP_IN_TEXT = re.compile(r"running_shop\b(?!/)")


def place_in_line(item: pytest.Item) -> tuple[int, bool]:
    """Sorts the tests of a run; of those with a broker, files of tests that take long come first."""
    kind = _kind(item.nodeid)
    return kind, kind == _SLOW and "mark.slow" not in _text(_path(item.nodeid))


def needs_shop(nodeid: str) -> bool:
    """Whether the test is of a file that uses the whole running shop."""
    return _kind(nodeid) == _SHOP


def needs_broker(nodeid: str) -> bool:
    """Whether the test is of a file in which some use a real broker."""
    return _kind(nodeid) != _REST


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist does not export its types
    """Hands out what stays together as a whole, in the sequence of the run.

    When a process crashes, the test that it was at has failed, and others get what it had not begun.
    """

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        self._with_shop: set[Any] = set()
        self._with_neither: Any = None

    def remove_node(self, node: Any) -> str | None:
        """It has ended, or crashed; then another one may have its shop. Returns the test at which it crashed."""
        self._with_shop.discard(node)
        if node is self._with_neither:
            self._with_neither = None
        units = self.assigned_work.pop(node)
        left = [nodeid for unit in units.values() for nodeid, is_done in unit.items() if not is_done]
        if not left:
            return None
        crashed, *waiting = left
        for nodeid in reversed(waiting):
            scope = _scope(nodeid)
            self.workqueue[scope] = {nodeid: False} | self.workqueue.get(scope, {})
            self.workqueue.move_to_end(scope, last=False)
        for other in self.nodes:
            self._reschedule(other)
        return str(crashed)

    def _split_scope(self, nodeid: str) -> str:
        return _scope(nodeid)

    def _reschedule(self, node: Any) -> None:
        # One that has just taken a crashed one's place is still collecting.
        if node.shutting_down or node not in self.registered_collections:
            return
        # A process begins a test once it knows the next one, or that there is none.
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            self._assign_work_unit(node)

    def _assign_work_unit(self, node: Any) -> None:
        scope = self._next_for(node)
        if scope is None:
            node.shutdown()
            return
        if _kind(scope) == _SHOP:
            self._with_shop.add(node)
        self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)

    def _next_for(self, node: Any) -> str | None:
        """The first of the waiting scopes that this process may have; the first process that may have no shop begins
        with those that need no broker either.
        """
        may_have_shop = node in self._with_shop or len(self._with_shop) < SHOPS
        allowed = [scope for scope in self.workqueue if may_have_shop or _kind(scope) != _SHOP]
        if not may_have_shop and self._with_neither is None:
            self._with_neither = node
        if node is self._with_neither:
            allowed.sort(key=lambda scope: _kind(scope) != _REST)
        return next(iter(allowed), None)


def _scope(nodeid: str) -> str:
    path = _path(nodeid)
    if _kind(nodeid) == _REST:
        return path
    if "mark.together" in _text(path):
        return path
    # What a module's tests share should be made once.
    return nodeid.split("[", 1)[0] if 'scope="module"' in _text(path) else nodeid


def _kind(nodeid: str) -> int:
    return _kind_of_file(_path(nodeid))


def _path(nodeid: str) -> str:
    return nodeid.split("::", 1)[0]


@cache
def _kind_of_file(path: str) -> int:
    text = _text(path)
    if _SHOP_IN_TEXT.search(text):
        return _SHOP
    return _SLOW if "mark.slow" in text or "mark.kafka" in text else _REST


@cache
def _text(path: str) -> str:
    return (PROJECT / path).read_text()
