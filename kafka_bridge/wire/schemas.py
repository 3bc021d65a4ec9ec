"""JSON Schemas of the events: generated from their classes, committed in a folder of the project, compatible for ever.

A consumer of yesterday reads events of tomorrow as long as a version only ever *gains optional* fields. All else is a
new version: a new class with `VERSION = 2` beside the old one.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from kafka_bridge.runtime import conf
from kafka_bridge.wire import event_types
from kafka_bridge.wire.events import Event

Schema = dict[str, Any]


def file_name(event: type[Event]) -> str:
    """`order.created.v1.json` and the like."""
    return f"{event.TYPE}.v{event.VERSION}.json"


def schema_of(event: type[Event]) -> Schema:
    """The JSON Schema (2020-12) of an event's body."""
    # Through JSON: a default of an empty tuple is the empty list that the file says.
    found = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(event)))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{conf.current().namespace}:{event.TYPE}:v{event.VERSION}",
        **found,
    }


def render(schema: Schema) -> str:
    """As it stands in its file."""
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def write(folder: Path, *, dry_run: bool) -> Iterator[tuple[str, str, list[str]]]:
    """Bring the folder up to the catalogue; yields (file, `new`, `changed`, `same` or `refused`, why refused)."""
    for event in event_types.registered():
        path, wanted = folder / file_name(event), schema_of(event)
        if not path.exists():
            outcome, breaks = "new", []
        else:
            present = msgspec.json.decode(path.read_bytes())
            breaks = list(incompatibilities(present, wanted))
            outcome = "refused" if breaks else "same" if present == wanted else "changed"
        if outcome in ("new", "changed") and not dry_run:
            path.write_text(render(wanted))
        yield path.name, outcome, breaks


def incompatibilities(old: Schema, new: Schema) -> Iterator[str]:
    """What a reader of the old schema would stumble over in the new one, in words; nothing if they fit."""
    before, after = old.get("$defs", {}), new.get("$defs", {})
    for name, definition in before.items():
        if name not in after:
            yield f"{name} is gone"
        else:
            yield from _differences(name, definition, after[name])


def _differences(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    had, has = old.get("properties", {}), new.get("properties", {})
    for field, kind in had.items():
        if field not in has:
            yield f"{name}.{field} is gone"
        elif _shape(kind) != _shape(has[field]):
            yield f"{name}.{field} was {_shape(kind)} and is {_shape(has[field])}"
    for field in set(new.get("required", ())) - set(old.get("required", ())):
        yield f"{name}.{field} is required now, and events of before do not have it"


def _shape(kind: Any) -> Any:
    """A field's schema without its words."""
    if isinstance(kind, Mapping):
        return {key: _shape(value) for key, value in kind.items() if key not in ("description", "title")}
    return [_shape(item) for item in kind] if isinstance(kind, list) else kind
