"""What is affected just now, as the operations page would tell it: the same sources, asked while somebody looks."""

import threading
import time
from typing import Any

from django.utils import timezone

from shop.operations.overview import collector
from shop.operations.pages import findings
from shop.operations.pages.state import State

SOURCES = ("processes", "kafka", "database", "redis")
FORGET_AFTER_SECONDS = 30.0
"""So long after the last look nobody is asked any more."""
_FINDINGS_MAX = 6
_looked_at = 0.0
_lock = threading.Lock()
_watching = False


def look() -> dict[str, Any]:
    """For the template; from memory, so it waits for nobody. Little is known at the first look."""
    _watch()
    state = State(now=timezone.now(), overview=collector.overview())
    found = findings.find(state)
    level, verdict = findings.verdict(state, found)
    return {
        "level": level,
        "verdict": verdict,
        "findings": found[:_FINDINGS_MAX],
        "sources": findings.sources(state),
        "behind": [group for group in state.groups if group.messages],
        "outbox": state.overview.database.value.outbox.rows if state.overview.database.value else None,
        "waiting": [waits for waits in state.waiting if waits.orders],
    }


def _watch() -> None:
    """Ask from now on, until nobody has looked for a while."""
    global _looked_at, _watching
    with _lock:
        _looked_at = time.monotonic()
        if _watching:
            return
        _watching = True
        collector.start(SOURCES)
        threading.Thread(target=_stop_when_alone, name="affected", daemon=True).start()


def _stop_when_alone() -> None:
    global _watching
    while True:
        time.sleep(1)
        with _lock:
            if time.monotonic() - _looked_at > FORGET_AFTER_SECONDS:
                _watching = False
                collector.stop()
                return
