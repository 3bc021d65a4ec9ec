"""The catalogue: its table is the registry's, its schemas are committed, old events stay readable."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

import events
from events import catalogue
from kafka_bridge.consuming import registry
from kafka_bridge.wire import envelope, event_types, schemas
from kafka_bridge.wire.events import Event
from shop.saga import tables

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))
COMMITTED = Path(settings.BASE_DIR) / "docs" / "events"


def test_the_table_at_the_top_is_the_live_registry() -> None:
    assert tables.as_markdown() in (events.__doc__ or "")


def test_the_registry_has_no_faults() -> None:
    assert registry.check_registry() == []


@pytest.mark.parametrize("event", catalogue.ALL_EVENTS, ids=schemas.file_name)
def test_the_committed_schema_is_the_current_one(event: type[Event]) -> None:
    """If this fails, run `manage.py write_schemas`: it says whether the change is one that readers survive."""
    assert msgspec.json.decode((COMMITTED / schemas.file_name(event)).read_bytes()) == schemas.schema_of(event)


def test_every_event_has_a_golden_example() -> None:
    assert {path.name for path in GOLDEN} == {schemas.file_name(event) for event in catalogue.ALL_EVENTS}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.name)
def test_events_of_the_past_stay_readable(path: Path) -> None:
    """FAILURES 33: whatever lies in a topic was written by an older version of us."""
    kind, _, version = path.stem.rpartition(".v")
    event_type = event_types.find(kind, int(version))
    assert event_type, "it is registered"
    body = path.read_bytes()
    jsonschema.validate(json.loads(body), json.loads((COMMITTED / path.name).read_text()))
    event = envelope.decode_body(event_type, body)
    assert json.loads(envelope.encode_body(event)).items() >= json.loads(body).items()


def test_bodies_hold_nothing_personal() -> None:
    words = {"name", "email", "address", "city", "postcode", "country", "card", "phone"}
    fields = {field.name for event in catalogue.ALL_EVENTS for field in msgspec.structs.fields(event)}
    assert not fields & words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["properties"].pop("currency"), "Thing.currency is gone"),
        (lambda d: d["properties"].update(currency={"type": "integer"}), "Thing.currency was"),
        (
            lambda d: (d["properties"].update(new={"type": "string"}), d["required"].append("new")),
            "Thing.new is required",
        ),
    ],
)
def test_an_incompatible_change_is_refused(change: Any, words: str, tmp_path: Path) -> None:
    old = _thing()
    new = _thing()
    change(new["$defs"]["Thing"])
    assert any(words in found for found in schemas.incompatibilities(old, new))


def test_a_new_optional_field_is_welcome() -> None:
    new = _thing()
    new["$defs"]["Thing"]["properties"]["note"] = {"type": "string", "default": ""}
    assert list(schemas.incompatibilities(_thing(), new)) == []


def test_the_command_refuses_to_overwrite_what_readers_rely_on(tmp_path: Path) -> None:
    present = schemas.schema_of(catalogue.OrderShipped)
    present["$defs"]["OrderShipped"]["properties"]["carrier"] = {"type": "string"}
    (tmp_path / "order.shipped.v1.json").write_text(schemas.render(present))
    with pytest.raises(CommandError, match=r"order\.shipped\.v1\.json: OrderShipped\.carrier is gone"):
        call_command("write_schemas", folder=tmp_path)
    assert msgspec.json.decode((tmp_path / "order.shipped.v1.json").read_bytes()) == present


def _thing() -> dict[str, Any]:
    return {
        "$defs": {"Thing": {"properties": {"currency": {"type": "string"}}, "required": ["currency"], "type": "object"}}
    }
