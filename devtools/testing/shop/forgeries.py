"""Events that nobody stated, for tests of what groups believe: well-formed ones of every type, about any order."""

from collections.abc import Sequence
from datetime import UTC, datetime
from types import UnionType
from typing import Any, get_args, get_origin
from uuid import UUID

import msgspec
from django.core import mail
from django.db import connection
from hypothesis import strategies as st

from devtools.testing.shop import stories
from devtools.testing.shop.orders import SKU
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.wire.events import Event

_TABLES = {
    "orders_order": "*",
    "orders_orderline": "*",
    "orders_trailentry": "*",
    "orders_couponuse": "*",
    "orders_shipment": "order_id, state",
    "orders_ordermail": "order_id, kind, number",
    # When the gateway is asked next is no part of it.
    "payments_charge": "id, order_id, amount_minor, state, refunded_minor, cancel_requested, action_url",
    "payments_refund": "id, amount_minor",
    "payments_review": "*",
    "inventory_stock": "*",
    "inventory_reservation": "*",
    "inventory_hold": "*",
    "inventory_movement": "*",
    "shop_dailysales": "*",
    "shop_booksales": "*",
    "kafka_bridge_outboxrow": "*",
    "kafka_bridge_inboxrow": "*",
    "kafka_bridge_parkedmessage": "*",
    "kafka_bridge_deadletter": "*",
}


def events(order_ids: Sequence[UUID], others: Sequence[UUID], *types: type[Event]) -> st.SearchStrategy[Event]:
    """Events of these types (or all), about one of these orders or of no order at all; `others` are ids of charges and
    refunds that they may speak of."""
    about = st.one_of(st.sampled_from(order_ids), st.uuids(version=4))
    ids = st.one_of(st.sampled_from(others), st.uuids(version=4))
    return st.one_of([_of_type(each, about, ids) for each in types or catalogue.EVENTS])


def _of_type(
    event: type[Event], about: st.SearchStrategy[UUID], ids: st.SearchStrategy[UUID]
) -> st.SearchStrategy[Event]:
    fields = {each.name: _value(each.name, each.type, ids) for each in msgspec.structs.fields(event)}
    return st.builds(event, **fields | {"order_id": about, "flow": st.sampled_from(catalogue.FLOWS)})


def _value(name: str, kind: Any, ids: st.SearchStrategy[UUID]) -> st.SearchStrategy[Any]:
    if get_origin(kind) is UnionType:
        return st.one_of([_value(name, each, ids) for each in get_args(kind)])
    if get_origin(kind) is tuple:
        return st.lists(_value(name, get_args(kind)[0], ids), max_size=3).map(tuple)
    found: dict[Any, st.SearchStrategy[Any]] = {
        UUID: ids,
        bool: st.booleans(),
        type(None): st.none(),
        datetime: st.datetimes(min_value=datetime(2020, 1, 1), timezones=st.just(UTC)),
        int: st.one_of(st.integers(1, 3), st.sampled_from((1250, 2500, 99_999_999)), st.integers(1, 2**31 - 1)),
        str: _text(name),
    }
    if kind is catalogue.Line:
        skus = st.sampled_from((SKU, stories.OTHER))
        return st.builds(catalogue.Line, sku=skus, quantity=st.integers(1, 20), unit_price_minor=st.just(1250))
    return found[kind]


def _text(name: str) -> st.SearchStrategy[str]:
    if name == "currency":
        return st.sampled_from(("USD", "EUR"))
    if name == "url":
        return st.sampled_from(("https://evil.example/3ds", "https://[evil", "http://127.0.0.1:8002/challenges/x"))
    return st.one_of(st.sampled_from(("pm_success", "card declined", SKU, "")), st.text(max_size=20))


def write(*events: Event, offset: int = 0) -> int:
    """As if somebody had written these to their topics: every group that hears them gets them. Returns how many
    messages were handed over."""
    handed = 0
    for number, event in enumerate(events):
        for group in registry.groups():
            if group.knows(type(event)):
                handed += 1
                assert testing.forge(group.name, event, topic_offset=offset + number) == 0, event
    for group in registry.groups():
        for work in group.workers:
            work()
    return handed


def books() -> dict[str, Any]:
    """All that a message could change: rows of every app, what the bank has done, and mails."""
    found: dict[str, Any] = {"bank": stories.the_bank().entries(), "mails": len(mail.outbox)}
    with connection.cursor() as cursor:
        for table, columns in _TABLES.items():
            cursor.execute(f"SELECT t::text FROM (SELECT {columns} FROM {table}) t ORDER BY 1")  # noqa: S608
            found[table] = [row for (row,) in cursor.fetchall()]
    return found
