"""The AsyncAPI 3.0 document: every topic, event, key and header, and who states and hears what.

Everything in it is read off the registry, and off the constants that clients are made with, so it says what is on the
wire. It depends on what is registered alone, not on a cluster: what may differ between clusters, such as the number of
partitions, is in it only where a topic says so itself. Sources: AsyncAPI 3.0.0; its Kafka bindings, version 0.5.0.
"""

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec

from kafka_bridge.consuming import registry
from kafka_bridge.runtime import clients, conf, topics
from kafka_bridge.wire import event_types
from kafka_bridge.wire.events import Event, Topic

BINDING_VERSION = "0.5.0"
Json = dict[str, Any]
# By header: a JSON Schema for its text, and what it says. Those that every event has come first.
_HEADERS: dict[str, Json] = {
    "ce_specversion": {"type": "string", "const": "1.0"},
    "ce_id": {
        "type": "string",
        "format": "uuid",
        "description": "Names the event for ever; a second message with it is the same event: pass it over.",
    },
    "ce_type": {"type": "string"},
    "ce_source": {"type": "string"},
    "ce_dataversion": {"type": "string"},
    "ce_dataschema": {"type": "string", "description": "The $id of the body's JSON Schema."},
    "ce_time": {"type": "string", "format": "date-time", "description": "When it was stated, by the database's clock."},
    "ce_subject": {"type": "string", "description": "The event's key, as the record's."},
    "ce_correlationid": {"type": "string", "format": "uuid", "description": "The same in all events of one story."},
    "ce_traceparent": {"type": "string", "description": "W3C Trace Context; empty where no trace is recorded."},
    "content-type": {"type": "string", "const": "application/json"},
    "ce_causationid": {
        "type": "string",
        "format": "uuid",
        "description": "ce_id of the event whose handling stated this one; missing where no event did.",
    },
}
_OPTIONAL = {"ce_causationid"}
_COPIES = {
    "retry": "Copies of messages that wait for the group's next attempt; no interface, other groups leave them alone.",
    "dlq": "Messages that the group gave up, with why; no interface, people look at them in the admin.",
}


def document(*, title: str, version: str, description: str, prefix: str = "") -> Json:
    """The document; `prefix` is what goes before every topic's name on the cluster that it is about."""
    events = event_types.registered()
    _, schemas = msgspec.json.schema_components(events, ref_template="#/components/schemas/{name}")
    messages = {message_name(event): _message(event) for event in events}
    found = {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version, "description": description},
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic, prefix) for topic in topics.wanted()},
        "operations": _operations(),
        "components": {"messages": messages | {f"copy.{kind}": _copy(kind) for kind in _COPIES}, "schemas": schemas},
    }
    # Through JSON: a default of an empty tuple is an empty list then.
    plain: Json = msgspec.json.decode(msgspec.json.encode(found))
    return plain


def message_name(event: type[Event]) -> str:
    """What the document calls an event's message: `order.created.v1` and the like."""
    return f"{event.TYPE}.v{event.VERSION}"


def _channel(topic: Topic, prefix: str) -> Json:
    kind = topic.name.rpartition(".")[2]
    stated = [event for event in event_types.registered() if event.TOPIC.name == topic.name]
    names = [message_name(event) for event in stated] or [f"copy.{kind}"]
    partitions = {"partitions": topic.partitions} if topic.partitions else {}
    return {
        "address": prefix + topic.name,
        "title": topic.name,
        "description": f"What {topic.owner} states." if stated else _COPIES[kind],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {
            "kafka": {
                "topic": prefix + topic.name,
                **partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": topic.retention_seconds * 1000,
                    "retention.bytes": topic.retention_bytes,
                },
                "bindingVersion": BINDING_VERSION,
            }
        },
        "x-owner": topic.owner,
        "x-is-interface": bool(stated),
        "x-compression": clients.COMPRESSION,
        "x-partitioner": clients.PARTITIONER,
    }


def _message(event: type[Event]) -> Json:
    # A `date-time` without a zone would be refused by the bridge's own readers: see `envelope.decode`.
    fixed = {
        "ce_type": {"type": "string", "const": event.TYPE},
        "ce_source": {"type": "string", "const": f"/{conf.current().namespace}/{event.TOPIC.owner}"},
        "ce_dataversion": {"type": "string", "const": str(event.VERSION)},
        "ce_dataschema": {
            "type": "string",
            "const": f"urn:{conf.current().namespace}:{event.TYPE}:v{event.VERSION}",
            "description": _HEADERS["ce_dataschema"]["description"],
        },
    }
    headers = _HEADERS | fixed
    return {
        "name": event.TYPE,
        "title": f"{event.TYPE}, version {event.VERSION}",
        "summary": (inspect.getdoc(event) or "").splitlines()[0],
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "properties": headers,
            "required": [name for name in headers if name not in _OPTIONAL],
        },
        "payload": {"$ref": f"#/components/schemas/{event.__name__}"},
        "bindings": _binding({"type": "string", "description": inspect.getdoc(event.key) or ""}),
        "x-heard-by": registry.listeners(event),
    }


def _copy(kind: str) -> Json:
    return {
        "name": f"copy.{kind}",
        "title": "Copy of a message",
        "summary": _COPIES[kind],
        "headers": {
            "type": "object",
            "description": f"The message's own, and what the bridge says of it: {kind}_group, {kind}_topic, …",
        },
        "payload": {"description": "The message's own; as much of it as fits."},
        "bindings": _binding({"type": "string", "description": "The message's own."}),
    }


def _binding(key: Json) -> Json:
    return {"kafka": {"key": key, "bindingVersion": BINDING_VERSION}}


def _operations() -> Json:
    """Each owner states its events, each group hears its own: an operation for each topic of theirs."""
    found = {}
    for topic in event_types.topics():
        stated = [event for event in event_types.registered() if topic == event.TOPIC]
        found[f"{topic.owner}.states.{topic.name}"] = _operation("send", topic, stated)
    for group in registry.groups():
        for topic in group.topics:
            heard = [event for event in event_types.registered() if topic == event.TOPIC and group.knows(event)]
            name = conf.current().group_prefix + group.name
            binding = {"groupId": {"type": "string", "const": name}, "bindingVersion": BINDING_VERSION}
            found[f"{group.name}.hears.{topic.name}"] = {
                **_operation("receive", topic, heard),
                "bindings": {"kafka": binding},
            }
    return found


def _operation(action: str, topic: Topic, events: Iterable[type[Event]]) -> Json:
    channel = f"#/channels/{topic.name}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{message_name(event)}"} for event in events],
    }
