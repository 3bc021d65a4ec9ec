"""The documents as a page shows them: topics with their events, calls of the JSON interface, and fields of both."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of a body, or a header."""

    name: str
    kind: str
    """Its type in words, such as "list of Line"."""
    is_required: bool
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Message:
    """An event."""

    name: str
    title: str
    summary: str
    key: str
    heard_by: tuple[str, ...]
    fields: tuple[Field, ...]


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A topic that others may read."""

    address: str
    owner: str
    days_kept: float
    messages: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of the JSON interface; the answers are pairs of a status and what it means."""

    method: str
    path: str
    summary: str
    description: str
    fields: tuple[Field, ...]
    answers: tuple[tuple[str, str], ...]
    answer_fields: tuple[Field, ...]


def channels(document: Json) -> list[Channel]:
    """The topics of an AsyncAPI document that are an interface."""
    messages = document["components"]["messages"]
    return [
        Channel(
            address=channel["address"],
            owner=channel["x-owner"],
            days_kept=channel["bindings"]["kafka"]["topicConfiguration"]["retention.ms"] / 86_400_000,
            messages=tuple(_message(name, messages[name], document) for name in channel["messages"]),
        )
        for channel in document["channels"].values()
        if channel["x-is-interface"]
    ]


def copies(document: Json) -> int:
    """How many topics of an AsyncAPI document are the shop's own."""
    return sum(not channel["x-is-interface"] for channel in document["channels"].values())


def headers(document: Json) -> list[Field]:
    """What the headers of all events have in common."""
    message = next(each for each in document["components"]["messages"].values() if "properties" in each["headers"])
    return list(_fields(message["headers"]))


def shared_structs(document: Json) -> list[tuple[str, tuple[Field, ...]]]:
    """What bodies are made of, beside the bodies themselves: names and fields."""
    bodies = {name for _, name in _references(document["components"].get("messages", {}))}
    schemas: Json = document["components"]["schemas"]
    return [(name, tuple(_fields(schema))) for name, schema in schemas.items() if name not in bodies]


def calls(document: Json) -> list[Call]:
    """The calls of an OpenAPI document."""
    return [
        _call(method.upper(), path, call, document)
        for path, methods in document["paths"].items()
        for method, call in methods.items()
    ]


def _message(name: str, message: Json, document: Json) -> Message:
    return Message(
        name=name,
        title=message["name"],
        summary=message["summary"],
        key=message["bindings"]["kafka"]["key"]["description"],
        heard_by=tuple(message["x-heard-by"]),
        fields=tuple(_fields(_resolve(message["payload"], document))),
    )


def _call(method: str, path: str, call: Json, document: Json) -> Call:
    answers = {status: _resolve(answer, document) for status, answer in call["responses"].items()}
    best = next(answer for status, answer in answers.items() if status.startswith("2"))
    body = call.get("requestBody", {"content": {}})
    parameters = (
        Field(
            name=each["name"],
            kind=f"{each['schema']['type']}, in the {each['in']}",
            is_required=each.get("required", False),
            about=each.get("description", ""),
        )
        for each in call.get("parameters", ())
    )
    return Call(
        method=method,
        path=path,
        summary=call["summary"],
        description=call["description"],
        fields=(*parameters, *_content_fields(body, document)),
        answers=tuple((status, answer["description"]) for status, answer in answers.items()),
        answer_fields=tuple(_content_fields(best, document)),
    )


def _content_fields(part: Json, document: Json) -> Iterator[Field]:
    for content in part["content"].values():
        yield from _fields(_resolve(content["schema"], document))


def _fields(schema: Json) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        yield Field(name=name, kind=_kind(field), is_required=name in required, about=field.get("description", ""))


def _kind(schema: Json) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "const" in schema:
        return f"“{schema['const']}”"
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if "items" in schema else "list"
    return " ".join(str(schema[key]) for key in ("type", "format") if key in schema) or "anything"


def _resolve(schema: Json, document: Json) -> Json:
    if "$ref" not in schema:
        return schema
    found: Any = document
    for name in str(schema["$ref"]).removeprefix("#/").split("/"):
        found = found[name]
    return found  # type: ignore[no-any-return]  # what a document's reference leads to


def _references(part: Any) -> Iterator[tuple[str, str]]:
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key == "$ref":
                yield key, str(value).rpartition("/")[2]
            else:
                yield from _references(value)
