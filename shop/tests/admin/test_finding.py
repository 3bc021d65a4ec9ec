"""Finding orders: search, filters, days and months."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from devtools.testing.shop.admin_desk import ORDERS, confirmed, place, run, shown, text_of
from devtools.testing.shop.storefront import a_book
from events import catalogue
from kafka_bridge.models import OutboxRow
from orders.models import Order
from payments.models import Charge, Refund
from shop.admin.orders import filters
from shop.models import Book

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security]


def test_an_order_is_found_by_whatever_one_has_in_hand(book: Book, admin_client: Client) -> None:
    order = confirmed(book, email="grace@example.com")
    scarce = a_book(stock=0, title="Élan vital")
    place(scarce, flow=catalogue.PAYMENT_FIRST)
    run()
    refund = Refund.objects.get()
    charge = Charge.objects.get(order_id=order.pk)
    fact = OutboxRow.objects.filter(key=str(order.pk)).latest("id")
    for words in (
        order.reference, order.reference.lower(), order.reference.replace("-", ""), order.reference[:8],
        str(order.pk), str(fact.event_id), str(charge.pk), charge.transaction_id, order.shipment.tracking_number,
        "grace@example.com", "GRACE@", book.isbn, f"{book.isbn[:3]}-{book.isbn[3:]}", "glasshouse alibi",
    ):  # fmt: skip
        assert shown(admin_client, {"q": words}) == {order.pk}, words
    for words in (str(refund.pk), refund.transaction_id, scarce.isbn, "elan VITAL"):
        assert shown(admin_client, {"q": words}) == {refund.charge.order_id}, words
    for words in ("BR-ZZZZZ", "nobody@example.com", "no such title", str(uuid.uuid4()), "SP0000000000", "100%", "\x00"):
        expected = {order.pk, refund.charge.order_id} if words == "\x00" else set()
        assert shown(admin_client, {"q": words}) == expected, words


def test_a_reference_may_be_read_out_over_the_telephone(book: Book, admin_client: Client) -> None:
    order_id = place(book)
    Order.objects.update(reference="BR-10A0B-1C2D3")
    for words in ("BR-10A0B-1C2D3", "br-loaob-ic2d3", "BRLOA0B1C2D3", "BR-1O"):
        assert shown(admin_client, {"q": words}) == {order_id}, words


def test_a_title_that_left_the_catalogue_is_found_by_its_lines(book: Book, admin_client: Client) -> None:
    order_id = place(book)
    Book.objects.all().delete()
    assert shown(admin_client, {"q": "glasshouse"}) == {order_id}


def test_orders_are_narrowed_down(book: Book, admin_client: Client) -> None:
    kept = confirmed(book, flow=catalogue.PAYMENT_FIRST).pk
    declined = confirmed(book, card="pm_declined").pk
    refunded = confirmed(a_book(stock=0), flow=catalogue.PAYMENT_FIRST).pk
    held = place(book)
    run(without="payments")
    everything = {kept, declined, refunded, held}

    assert shown(admin_client, {"status__exact": "CANCELLED"}) == {declined, refunded}
    assert shown(admin_client, {"flow__exact": "payment_first"}) == {kept, refunded}
    assert shown(admin_client, {"payment": "taken"}) == {kept}
    assert shown(admin_client, {"payment": "failed"}) == {declined}
    assert shown(admin_client, {"payment": "refunded"}) == {refunded}
    assert shown(admin_client, {"payment": "refunding"}) == set()
    for state in ("open", "unknown", "action_required"):
        assert shown(admin_client, {"payment": state}) == set()
    assert shown(admin_client, {"payment": "none"}) == {held}
    assert shown(admin_client, {"progress": "unconfirmed"}) == {held}
    assert shown(admin_client, {"progress": "stuck"}) == set()
    Order.objects.update(placed_at=F("placed_at") - timedelta(minutes=2))
    assert shown(admin_client, {"progress": "stuck"}) == {held}
    assert shown(admin_client, {"progress": "refund"}) == set()
    Order.objects.filter(pk=refunded).update(refunded_at=None)
    assert shown(admin_client, {"progress": "refund"}) == {refunded}
    assert shown(admin_client, {"placed": "5min"}) == everything
    Order.objects.filter(pk=kept).update(placed_at=F("placed_at") - timedelta(days=3))
    assert shown(admin_client, {"placed": "24h"}) == everything - {kept}
    assert shown(admin_client, {"placed": "7d"}) == everything


def test_orders_are_found_by_what_their_payment_waits_for(book: Book, admin_client: Client) -> None:
    unknown, confirming, taken = (confirmed(book).pk for _ in range(3))
    charges = Charge.objects
    charges.filter(order_id=unknown).update(state=Charge.State.CAPTURING, unknown_since=timezone.now())
    charges.filter(order_id=confirming).update(state=Charge.State.ACTION_REQUIRED)
    assert shown(admin_client, {"payment": "open"}) == {unknown, confirming}
    assert shown(admin_client, {"payment": "unknown"}) == {unknown}
    assert shown(admin_client, {"payment": "action_required"}) == {confirming}
    assert shown(admin_client, {"payment": "taken"}) == {taken}


def test_stuck_orders_are_marked(book: Book, admin_client: Client) -> None:
    order_id = place(book)
    assert "stuck" not in text_of(admin_client.get(ORDERS)).replace("progress=stuck", "").replace("Stuck:", "")
    Order.objects.filter(pk=order_id).update(placed_at=F("placed_at") - timedelta(minutes=7))
    for page in (ORDERS, f"{ORDERS}{order_id}/change/"):
        assert "stuck 7 min" in text_of(admin_client.get(page))


def test_an_order_whose_buyer_is_at_the_bank_is_not_stuck(book: Book, admin_client: Client) -> None:
    """XC5: stuck is what waits without a reason; the reason ends when the buyer's time does."""
    order_id, now = place(book), timezone.now()
    order = Order.objects.filter(pk=order_id)
    order.update(placed_at=now - timedelta(minutes=7), payment_wait="action")
    for until in (None, now + timedelta(minutes=5)):
        order.update(payment_until=until)
        assert shown(admin_client, {"progress": "stuck"}) == set()
        assert filters.stuck_orders().count() == 0
        for page in (ORDERS, f"{ORDERS}{order_id}/change/"):
            assert "at the bank 7 min" in text_of(admin_client.get(page))
    order.update(payment_until=now - timedelta(seconds=1))
    assert shown(admin_client, {"progress": "stuck"}) == {order_id}
    assert "stuck 7 min" in text_of(admin_client.get(ORDERS))
    order.update(payment_wait="unknown", payment_until=None)
    assert shown(admin_client, {"progress": "stuck"}) == {order_id}


def test_days_months_and_years_are_offered_without_reading_the_orders_between(book: Book, admin_client: Client) -> None:
    def offered(query: str = "") -> tuple[list[str], str, list[str]]:
        drill = admin_client.get(ORDERS + query).context["cl"].drill_down()
        return [span.title for span in drill.wider], drill.current, [span.title for span in drill.narrower]

    assert admin_client.get(ORDERS).context["cl"].drill_down() is None
    first, last = place(book), place(book)
    at = datetime(2026, 1, 30, 12, tzinfo=UTC)
    Order.objects.filter(pk=last).update(placed_at=at + timedelta(days=3))
    Order.objects.filter(pk=first).update(placed_at=at)
    assert offered() == ([], "", ["Jan 2026", "Feb 2026"])
    assert offered("?placed_at__year=2026&placed_at__month=1") == (
        ["All", "2026"],
        "Jan 2026",
        ["30 Jan 2026", "31 Jan 2026"],
    )
    Order.objects.filter(pk=first).update(placed_at=at - timedelta(days=365))
    assert offered() == ([], "", ["2025", "2026"])
    assert offered("?placed_at__year=2026") == (["All"], "2026", ["Jan 2026", "Feb 2026"])
    day = {"placed_at__year": "2026", "placed_at__month": "2", "placed_at__day": "2"}
    assert shown(admin_client, day) == {last}
    drill = admin_client.get(ORDERS, day).context["cl"].drill_down()
    assert (drill.current, drill.narrower) == ("2 Feb 2026", [])
    for span in drill.wider:
        assert admin_client.get(ORDERS + span.query).status_code == 200
    assert admin_client.get(f"{ORDERS}?placed_at__year=2026&placed_at__month=13").status_code in (200, 302)
