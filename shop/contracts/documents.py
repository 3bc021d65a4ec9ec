"""Both documents, with this shop's words."""

from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings

from kafka_bridge.describing import asyncapi
from shop.contracts import openapi

Json = dict[str, Any]
VERSION = "1.0.0"
"""Of what others rely on: the middle number grows with what is added, the first one with what is taken away."""
ABOUT_EVENTS = (
    "The facts that the shop's apps state, as CloudEvents 1.0 in Kafka's binary mode: attributes are `ce_…` headers, "
    "the body is JSON, the key keeps facts about one thing in sequence. They come at least once: pass over a `ce_id` "
    "that you have had. A body may gain optional fields at any time: ignore those that you do not know. Batches are "
    "compressed with lz4. docs/foreign-consumers.md has consumers for Java, Node.js, Go and Python."
)
NAMES = ("asyncapi", "openapi")


def make(name: str, *, prefix: str = "", server: str = "/") -> Json:
    """`asyncapi` or `openapi`; `prefix` goes before topics' names, `server` is where the shop is."""
    if name == "openapi":
        return openapi.document(version=VERSION, server=server)
    return asyncapi.document(title="Bookrush: events", version=VERSION, description=ABOUT_EVENTS, prefix=prefix)


def render(document: Json) -> str:
    """As it stands in its file."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def path(name: str) -> Path:
    """Where the committed one is."""
    return Path(settings.BASE_DIR) / "docs" / "contracts" / f"{name}.json"
