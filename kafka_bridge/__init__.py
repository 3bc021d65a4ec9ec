"""Events between Django apps over Apache Kafka: outbox, relay, consumers with an inbox, retries in order, dead letters.

What a project uses is named here; everything else may change from one release to the next.

| name | what for |
|---|---|
| `BridgeSettings` | `KAFKA_BRIDGE = BridgeSettings(bootstrap_servers="…")` in the project's settings |
| `Event`, `Topic` | the base class of events, and where they go; an app's `events.py` defines them |
| `register_events` | makes event types known, in the same module |
| `publish` | states events as part of the transaction under way |
| `Group` | a consumer group; an app's `handlers.py` decorates functions with `@group.on(Event)` |
| `Dated` | an event with the time at which it was stated, for `@group.on_dated_batch` |
| `stated` | `Group("…", believes=stated)`: only messages that were stated are handled, whoever else writes to a topic |
| `RetryPolicy` | how often, and when, a message is tried again |
| `Reject` | raise it in a handler when trying again cannot help |
| `Unavailable` | raise it in a handler when something outside is away: the group waits, and tries again |
| `every` | runs a function by the clock; an app's `jobs.py` decorates functions with it |

The names are imported when they are asked for, so a settings module may import this package before Django is set up.
Tests have `kafka_bridge.testing` and the fixtures of `kafka_bridge.pytest_plugin`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka_bridge.believing.books import stated
    from kafka_bridge.consuming.registry import Dated, Group, Reject
    from kafka_bridge.publishing.outbox import publish
    from kafka_bridge.retrying.policy import RetryPolicy
    from kafka_bridge.runtime.conf import BridgeSettings
    from kafka_bridge.runtime.error_classes import Unavailable
    from kafka_bridge.runtime.scheduler import every
    from kafka_bridge.wire.event_types import register as register_events
    from kafka_bridge.wire.events import Event, Topic

__version__ = "0.1.0"
__all__ = [
    "BridgeSettings",
    "Dated",
    "Event",
    "Group",
    "Reject",
    "RetryPolicy",
    "Topic",
    "Unavailable",
    "every",
    "publish",
    "register_events",
    "stated",
]

_HOMES = {
    "BridgeSettings": "runtime.conf:BridgeSettings",
    "Dated": "consuming.registry:Dated",
    "Event": "wire.events:Event",
    "Group": "consuming.registry:Group",
    "RetryPolicy": "retrying.policy:RetryPolicy",
    "Reject": "consuming.registry:Reject",
    "Topic": "wire.events:Topic",
    "Unavailable": "runtime.error_classes:Unavailable",
    "every": "runtime.scheduler:every",
    "publish": "publishing.outbox:publish",
    "register_events": "wire.event_types:register",
    "stated": "believing.books:stated",
}
"""Where each public name lives; see PEP 562."""


# Type checkers know the names, and are to say which ones there are not.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """A public name, imported now."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, _, attribute = _HOMES[name].partition(":")
        found = globals()[name] = getattr(import_module(f"{__name__}.{module}"), attribute)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
