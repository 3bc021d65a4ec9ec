"""The page of an order, and its trail above all."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from devtools.testing.shop.admin_desk import ORDERS, confirmed, place, run, text_of
from devtools.testing.shop.storefront import a_book
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.models import OutboxRow
from orders.actions import cancellation, parcels, returns
from orders.models import Order, TrailEntry
from payments.models import Charge
from shop.admin.orders import timeline
from shop.models import Book

pytestmark = pytest.mark.django_db(transaction=True)


def story(order_id: uuid.UUID) -> list[tuple[str, str, str]]:
    """What was stated, and what the order answered or did, with its status afterwards."""
    moments = timeline.moments_of(Order.objects.get(pk=order_id))
    return [
        (
            moment.row.type if moment.row else "",
            f"{moment.entry.what}: {moment.entry.answer}" if moment.entry else "",
            moment.entry.status if moment.entry else "",
        )
        for moment in moments
    ]


def test_the_trail_of_an_order_that_went_all_the_way(book: Book, admin_client: Client, settings: Any) -> None:
    settings.CARRIER_SHIP_DELAY_SECONDS = settings.CARRIER_DELIVER_DELAY_SECONDS = 0
    order = confirmed(book)
    assert story(order.pk) == [
        ("order.created", "order.created: move", "PENDING"),
        ("inventory.reserved", "inventory.reserved: too early", "PENDING"),
        ("payment.confirmed", "payment.confirmed: move", "PAID"),
        ("order.confirmed", "", ""),
        ("order.shipped", "shipped: move", "SHIPPED"),
        ("order.delivered", "delivered: move", "DELIVERED"),
    ]
    moments = timeline.moments_of(order)
    assert [moment.cause.type if moment.cause else "" for moment in moments] == [
        "", "order.created", "inventory.reserved", "payment.confirmed", "order.confirmed", "order.confirmed",
    ]  # fmt: skip
    assert [moment.missing for moment in moments] == [[]] * 6

    page = text_of(admin_client.get(f"{ORDERS}{order.pk}/change/"))
    for row in OutboxRow.objects.filter(key=str(order.pk)):
        assert f"{row.topic} <span>partition {row.partition}</span> <span>offset {row.offset}</span>" in page
        assert str(row.event_id) in page
    charge = Charge.objects.get()
    for words in (
        order.reference, book.title, "$12.50", charge.transaction_id, order.shipment.tracking_number, "1 Shelf Lane",
        "Order confirmed", "Parcel delivered", "by Sandbox Parcel", "Buyer's page",
    ):  # fmt: skip
        assert words in page, words
    assert "What it waits for" not in page
    assert "not yet" not in page


def test_the_trail_says_which_group_has_not_had_a_fact(book: Book, admin_client: Client) -> None:
    order_id = place(book)
    run(without="payments")
    created, reserved = timeline.moments_of(Order.objects.get(pk=order_id))
    assert (created.missing, reserved.missing) == ([], ["payments"])
    assert reserved.row is not None
    assert reserved.row.offset is not None
    page = text_of(admin_client.get(f"{ORDERS}{order_id}/change/"))
    assert "payments: inventory.reserved has not been handled yet." in page
    assert "payments <small>not yet</small>" in page
    assert "Payments has not been asked for this order's money" in page


def test_the_trail_says_what_waits_for_the_relay(book: Book, admin_client: Client) -> None:
    order_id = place(book, flow=catalogue.PAYMENT_FIRST)
    (moment,) = timeline.moments_of(Order.objects.get(pk=order_id))
    assert moment.missing == ["analytics", "payments"]
    page = text_of(admin_client.get(f"{ORDERS}{order_id}/change/"))
    assert "waiting for the relay" in page
    assert "The relay has not published order.created to Kafka yet" in page
    assert "Inventory has not heard of this order" in page


def test_the_trail_of_money_that_went_back(admin_client: Client) -> None:
    order_id = place(a_book(stock=0), flow=catalogue.PAYMENT_FIRST)
    run()
    assert {(what, answer) for what, answer, _ in story(order_id)} >= {
        ("inventory.insufficient", "inventory.insufficient: move"),
        ("payment.refunded", "payment.refunded: move"),
    }
    page = text_of(admin_client.get(f"{ORDERS}{order_id}/change/"))
    for words in ("Cancelled: <strong>out of stock</strong>", "Refund", "Money refunded", Charge.objects.get().pk):
        assert str(words) in page


@pytest.mark.parametrize("flow", catalogue.FLOWS)
@pytest.mark.parametrize("seed", range(4))
def test_every_entry_finds_its_fact_whatever_the_order_of_delivery(book: Book, flow: str, seed: int) -> None:
    ids = [place(book, flow=flow), place(book, flow=flow, card="pm_declined"), place(a_book(stock=0), flow=flow)]
    broker = testing.MemoryBroker(duplicates=True, seed=seed)
    broker.advance(seed * 2)
    with transaction.atomic():
        Order.objects.filter(pk=ids[0]).update(deadline_at=timezone.now() - timedelta(seconds=1))
        cancellation.cancel_overdue()
    broker.drain()
    for order_id in ids:
        moments = timeline.moments_of(Order.objects.get(pk=order_id))
        assert len(moments) == OutboxRow.objects.filter(key=str(order_id)).count()
        entries = [moment.entry.pk for moment in moments if moment.entry]
        assert sorted(entries) == sorted(TrailEntry.objects.filter(order=order_id).values_list("pk", flat=True))
        for moment in moments:
            assert moment.row is not None
            assert moment.missing == []
            if moment.entry and moment.entry.what not in ("cancelled", "shipped", "delivered", "deadline passed"):
                assert moment.entry.what == moment.row.type


def test_what_the_gateway_has_not_answered_is_said(book: Book, admin_client: Client) -> None:
    order = confirmed(book)
    now = timezone.now()
    Charge.objects.update(
        state="requested", attempts=3, last_error="timed out", next_attempt_at=now + timedelta(seconds=30),
        unknown_since=now,
    )  # fmt: skip
    page = text_of(admin_client.get(f"{ORDERS}{order.pk}/change/"))
    assert f"Since {timezone.localtime(now):%H:%M:%S} nobody knows whether the gateway did what it was asked." in page
    at = timezone.localtime(now + timedelta(seconds=30))
    assert f"The gateway is asked to authorize it at {at:%H:%M:%S}, after 3 calls (timed out)." in page
    assert "The carrier picks the parcel up at" in page


@pytest.mark.money
def test_a_return_is_told_on_the_trail(book: Book, admin_client: Client) -> None:
    order = confirmed(book, quantity=2)
    with transaction.atomic():
        parcels.ship(order_ids=[order.pk], by="ada")
        returns.accept_return(order_id=order.pk, units={book.isbn: 1}, reason="torn", by="ada")
    run()
    moments = {moment.row.type: moment for moment in timeline.moments_of(order) if moment.row}
    returned = moments["order.returned"]
    assert returned.entry is not None
    assert (returned.entry.what, returned.missing) == ("returned", [])
    refunded = moments["payment.refunded"]
    assert refunded.entry is not None
    assert (refunded.entry.answer, refunded.entry.status) == ("already done", "SHIPPED")


def test_the_page_asks_a_fixed_number_of_questions(book: Book, admin_client: Client) -> None:
    few_events, many_events = place(book), confirmed(book).pk
    admin_client.get(f"{ORDERS}{few_events}/change/")  # what a process asks only once
    with CaptureQueriesContext(connection) as few:
        admin_client.get(f"{ORDERS}{few_events}/change/")
    with CaptureQueriesContext(connection) as many:
        admin_client.get(f"{ORDERS}{many_events}/change/")
    assert len(few) <= len(many) <= 16


def test_an_order_that_is_not_there_is_not_shown(admin_client: Client) -> None:
    for missing in (uuid.uuid4(), "nonsense"):
        response = admin_client.get(f"{ORDERS}{missing}/change/")
        assert (response.status_code, response.headers.get("Location")) == (302, "/admin/")
