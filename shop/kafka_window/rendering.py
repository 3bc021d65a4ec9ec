"""The window as HTML: the part that changes, the panel beside it, the whole page, and the cards."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from shop.kafka_window import drawing, message, stores
from shop.kafka_window.state import Window
from shop.operations.overview import outage_words

QUERY_NAMES = ("order", "message", "as", "parts")
QUERY_LENGTH_MAX = 160
STYLES = ("tokens", "elements", "buttons", "connection", "kafka", "kafka_logs", "kafka_panel", "kafka_cards")
PART = "<!-- part -->"
"""Stands between the parts of a drawing, each of which changes by itself."""
_INDENT = re.compile(r"\s*\n\s*")


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its title and script."""

    url: str
    title: str
    script: str


WINDOW = Page("/kafka/", "Watch it", "kafka")
CARDS = Page("/kafka/cards/", "Learn it", "kafka_cards")
PAGES = (WINDOW, CARDS)


def parts(window: Window, *, as_table: bool) -> tuple[str, ...]:
    """What changes, in parts: the drawing, or the same as tables. The same for all who look."""
    rows = drawing.rows(window)
    context = {
        "window": window,
        "events": [row for row in rows if row.kind == "events"],
        "aside": [row for row in rows if row.kind != "events" and not row.is_empty],
        "empty": [row for row in rows if row.kind != "events" and row.is_empty],
        "groups": drawing.groups(window),
        "cells": drawing.CELLS,
    }
    made = render_to_string("kafka/table.html" if as_table else "kafka/drawing.html", context)
    return tuple(_INDENT.sub("\n", made).split(PART))


def marked(html: str, order_id: UUID | None) -> SafeString:
    """The fragment, with this order's messages marked as one's own."""
    if order_id is not None:
        html = html.replace(f'data-story="{order_id}"', f'data-story="{order_id}" data-mine')
    return mark_safe(html)  # noqa: S308 - the template's own; a UUID holds nothing that HTML knows


def panel(query: Mapping[str, str], window: Window) -> SafeString:
    """What was asked for: an order's story, an opened message, or how to begin. Blocks.

    What cannot be asked now is said in its place.
    """
    context: dict[str, Any] = {"query": query, "is_demo": settings.SHOW_DEMO_HINTS, "now": window}
    try:
        stores.connect()
        if query.get("order"):
            context["order_id"] = order_id = stores.find_order(query["order"])
            context["story"] = stores.story(order_id) if order_id else []
        if query.get("message"):
            context["opened"] = message.open_message(query["message"], window, with_body=settings.SHOW_DEMO_HINTS)
    except Exception as error:
        context["error"] = outage_words.describe(error)
    return mark_safe(render_to_string("kafka/panel.html", context))  # noqa: S308 - see above


def whole(page: Page, query: Mapping[str, str], *, web: str, version: str, **parts: Any) -> str:
    """A whole page around its parts."""
    context = {"page": page, "pages": PAGES, "query": query, "web": web, "v": version, "styles": STYLES, **parts}
    return render_to_string(f"kafka/{page.script}.html", {**context, "is_demo": settings.SHOW_DEMO_HINTS})
