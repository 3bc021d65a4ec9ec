"""Whoever can write to Kafka moves nothing: what nobody stated is refused, and what was stated is believed, however
late (XB4).
"""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devtools.testing.shop import forgeries, stories
from devtools.testing.shop.orders import SKU, draft
from events import catalogue
from inventory.models import Reservation
from inventory.reservations import expiry
from kafka_bridge import testing
from kafka_bridge.believing import refusals
from kafka_bridge.consuming import message_processing, registry
from kafka_bridge.models import OutboxRow, RefusedMessage
from kafka_bridge.wire import envelope
from kafka_bridge.wire.events import Event
from orders.actions import cancellation, parcels, returns
from orders.models import Order, Shipment, Status
from orders.placing import placement
from payments.models import Charge, Refund

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security]
ALL_GROUPS = {"analytics", "inventory", "notifications", "orders", "payments", "shipping"}


@pytest.fixture
def world(slow_carrier: None) -> list[UUID]:
    """Orders of both flows in every state there is: held, waiting for the buyer, unknown to payments, confirmed,
    reduced, shipped, delivered, returned, cancelled and refunded, expired, declined."""
    stories.stock(**{f"s{SKU}": 60, f"s{stories.OTHER}": 60})
    found = [order_id for flow in catalogue.FLOWS for order_id in _of_flow(flow)]
    # Payments has not heard of these.
    found += [_place(flow) for flow in catalogue.FLOWS]
    testing.MemoryBroker(groups=ALL_GROUPS - {"payments"}).drain()
    assert set(Order.objects.values_list("status", flat=True)) == set(Status.values)
    return found


def _place(flow: str, card: str = "pm_success") -> UUID:
    return placement.place(draft(flow=flow, payment_method=card, units={SKU: 2, stories.OTHER: 1})).order_id


def _of_flow(flow: str) -> list[UUID]:
    confirmed, reduced, shipped, delivered, returned, ended = (_place(flow) for _ in range(6))
    waits, declined, expired = _place(flow, "pm_3ds"), _place(flow, "pm_declined"), _place(flow, "pm_3ds")
    testing.MemoryBroker().drain()
    with transaction.atomic():
        cancellation.cancel(order_id=ended, reason="changed my mind", by="ada")
        cancellation.cancel_lines(order_id=reduced, units={SKU: 1}, reason="damaged", by="ada")
        parcels.ship(order_ids=[shipped, delivered, returned], by="ada")
        parcels.deliver(order_ids=[delivered, returned], by="ada")
        returns.accept_return(order_id=returned, units={SKU: 1}, reason="torn", by="ada")
        past = timezone.now() - timedelta(minutes=1)
        Reservation.objects.filter(order_id=expired, state="held").update(expires_at=past)
        expiry.expire_holds()
    testing.MemoryBroker().drain()
    return [confirmed, reduced, shipped, delivered, returned, ended, waits, declined, expired]


def _ids() -> list[UUID]:
    """Of charges and refunds, as an insider may know them."""
    return [*Charge.objects.values_list("pk", flat=True), *Refund.objects.values_list("pk", flat=True)]


def _write_anything(order_ids: list[UUID], *, examples: int) -> None:
    anything = st.lists(forgeries.events(order_ids, _ids()), min_size=3, max_size=8)
    before, offsets = forgeries.books(), iter(range(0, 10**9, 100))

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(anything)
    def nothing_moves(forged: list[Event]) -> None:
        written = forgeries.write(*forged, offset=next(offsets))
        assert RefusedMessage.objects.count() == written
        RefusedMessage.objects.all().delete()
        assert forgeries.books() == before

    nothing_moves()


def test_whatever_is_written_nothing_moves(world: list[UUID]) -> None:
    """XB4: arbitrary well-formed events of all types, for orders in every state and for none. FAILURES 27."""
    _write_anything(world, examples=12)


@pytest.mark.prove(long=True)
def test_whatever_is_written_nothing_moves_at_length(world: list[UUID]) -> None:
    """The same, some thousands of events."""
    _write_anything(world, examples=600)


def test_each_event_is_refused_for_each_order(world: list[UUID]) -> None:
    """XB4: of each type one that could be true, for each order and for one that there is not. FAILURES 27."""
    before = forgeries.books()
    for number, event in enumerate(catalogue.EVENTS):
        forged = [_plausible(event, order_id) for order_id in [*world, uuid4()]]
        written = forgeries.write(*forged, offset=100 * number)
        assert written == RefusedMessage.objects.filter(type=event.TYPE).count() > 0
        assert forgeries.books() == before, event.TYPE


def _plausible(event: type[Event], order_id: UUID) -> Event:
    """What a stranger would write who knows the order and its charge."""
    order, charge = Order.objects.filter(pk=order_id).first(), Charge.objects.filter(order_id=order_id).first()
    lines = tuple(catalogue.Line(sku=sku, quantity=1, unit_price_minor=1250) for sku in (SKU, stories.OTHER))
    known: dict[str, Any] = {
        "order_id": order_id,
        "flow": order.flow if order else catalogue.RESERVE_FIRST,
        "charge_id": charge.pk if charge else uuid4(),
        "transaction_id": charge.transaction_id if charge else "sbx_pay_1",
        "refund_id": uuid4(),
        "lines": lines,
        "amount_minor": 2500,
        "total_minor": 2500,
        "currency": "USD",
        "payment_method": "pm_success",
        "reason": "because",
        "why": "because",
        "missing": (SKU,),
        "reduction": 7,
        "number": 7,
        "was_confirmed": True,
        "tracking_number": "SP0000000000",
        "url": "https://evil.example/3ds",
        "notice_id": "evt_1",
    }
    return event(**{each.name: known[each.name] for each in msgspec.structs.fields(event) if each.name in known})


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.prove) for seed in range(2, 9))])
def test_forgeries_among_the_true_ones_change_no_end(seed: int, quick_world: None) -> None:
    """XB4: orders are under way, and each true message has forged ones before it: with its own id, and with others.

    All orders end as they do without them, and none of the true ones is refused. FAILURES 27.
    """
    stories.stock(**{f"s{SKU}": 20, f"s{stories.OTHER}": 20})
    placed = [
        placement.place(draft(flow=flow, payment_method=card)).order_id
        for flow in catalogue.FLOWS
        for card in ("pm_success", "pm_declined", "pm_success")
    ]
    broker, chance = testing.MemoryBroker(seed=seed, duplicates=True), random.Random(seed)  # noqa: S311
    forged = 0
    for _ in range(300):
        for row in OutboxRow.objects.filter(published_at=None):
            forged += _write_before(row, placed, chance, offset=10_000 + forged)
        broker.advance(1)
    broker.drain()
    ends = dict(Order.objects.values_list("pk", "status"))
    assert [ends[order_id] for order_id in placed] == ["DELIVERED", "CANCELLED", "DELIVERED"] * 2
    assert stories.counts(SKU) == (20, 0, 4)
    assert stories.books_balance()
    refused = RefusedMessage.objects.filter(offset__lt=10_000)
    assert [(row.type, row.why) for row in refused] == []
    assert forged == RefusedMessage.objects.count() > 20


def _write_before(row: OutboxRow, order_ids: list[UUID], chance: random.Random, *, offset: int) -> int:
    """Forged messages that groups get before the true one; returns how many were handed over."""
    true = envelope.decode_body(catalogue_type(row.type), bytes(row.body))
    event = _plausible(chance.choice(catalogue.EVENTS), chance.choice(order_ids))
    its_id = envelope.Received(
        event=msgspec.structs.replace(true, order_id=chance.choice(order_ids)), id=row.event_id,
        correlation_id=row.correlation_id, topic=row.topic, partition=0, offset=offset,
    )  # fmt: skip
    if its_id.event == true:
        its_id = replace(its_id, event=msgspec.structs.replace(true, flow="no flow"))
    handed = 0
    for group in registry.groups():
        if group.knows(type(true)):
            assert message_processing.handle(group, [its_id]).new == 0
            handed += 1
        if group.knows(type(event)):
            assert testing.forge(group.name, event, topic_offset=offset) == 0
            handed += 1
    return handed


def catalogue_type(name: str) -> type[Event]:
    """The class of events of that type."""
    return next(event for event in catalogue.EVENTS if name == event.TYPE)


def test_every_true_message_is_believed_however_late(world: list[UUID]) -> None:
    """Each event that was ever stated comes once more in the end, when its order has long gone on: all are believed,
    and a second time does nothing.
    """
    rows = list(OutboxRow.objects.order_by("id"))
    assert {row.type for row in rows} >= {"order.created", "order.returned", "inventory.expired", "payment.failed"}
    before = forgeries.books()
    for group in registry.groups():
        received = [_received(row) for row in rows if group.knows(catalogue_type(row.type))]
        assert len(refusals.believed(group, received)) == len(received)
        if group.name in ALL_GROUPS - {"payments"}:
            assert message_processing.handle(group, received).new == 0
    assert forgeries.books() == before
    assert not RefusedMessage.objects.exists()


def _received(row: OutboxRow) -> envelope.Received:
    return envelope.Received(
        event=envelope.decode_body(catalogue_type(row.type), bytes(row.body)), id=row.event_id,
        correlation_id=row.correlation_id, topic=row.topic, partition=0, offset=row.pk,
    )  # fmt: skip


def test_every_group_of_the_shop_says_what_it_believes() -> None:
    """A new handler that would believe whatever comes is found here."""
    wanting = [
        f"{name}: {event.TYPE}"
        for name in sorted(ALL_GROUPS)
        for event in registry.find(name).handlers
        if registry.find(name).belief_of(event) is None
    ]
    assert wanting == []


def test_causes_are_told_to_the_end(quick_world: None) -> None:
    """XC9: whatever follows from an event says from which one, also what a worker does later."""
    stories.stock(**{f"s{SKU}": 9})
    kept = placement.place(draft(units={SKU: 2})).order_id
    paid_first = placement.place(draft(flow=catalogue.PAYMENT_FIRST, payment_method="pm_declined")).order_id
    stories.to_the_end(testing.MemoryBroker())
    assert _causes(kept) == {
        "order.created": "",
        "inventory.reserved": "order.created",
        "payment.confirmed": "inventory.reserved",
        "order.confirmed": "payment.confirmed",
        "order.shipped": "order.confirmed",
        "order.delivered": "order.confirmed",
    }
    assert _causes(paid_first) == {
        "order.created": "",
        "payment.failed": "order.created",
        "order.cancelled": "payment.failed",
    }


def test_a_refund_is_told_as_following_from_what_asked_for_it(slow_carrier: None) -> None:
    """XC9: a reduction, and the end of an order."""
    stories.stock(**{f"s{SKU}": 9})
    order_id = placement.place(draft(units={SKU: 2})).order_id
    testing.MemoryBroker().drain()
    with transaction.atomic():
        cancellation.cancel_lines(order_id=order_id, units={SKU: 1}, reason="damaged", by="ada")
    testing.MemoryBroker().drain()
    assert _causes(order_id)["payment.refunded"] == "order.reduced"
    with transaction.atomic():
        cancellation.cancel(order_id=order_id, reason="changed my mind", by="ada")
    testing.MemoryBroker().drain()
    assert _causes(order_id)["payment.refunded"] == "order.cancelled"
    assert Shipment.objects.get().caused_by


def _causes(order_id: UUID) -> dict[str, str]:
    """By type (the last of each), the type of the event that it follows from."""
    rows = list(OutboxRow.objects.filter(key=str(order_id)).order_by("id"))
    types = {row.event_id: row.type for row in rows}
    return {row.type: types[row.causation_id] if row.causation_id else "" for row in rows}
