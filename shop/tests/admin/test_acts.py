"""What staff may do to orders: through the services, noted in the history, and nothing else."""

import uuid
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client

from devtools.testing.shop.admin_desk import ORDERS, act, confirmed, place, run, select, text_of, told
from events import catalogue
from inventory.models import Stock
from kafka_bridge import testing
from orders.models import Order, Shipment, Status, TrailEntry
from payments.models import Refund
from shop.admin.orders import order_actions
from shop.models import Book

pytestmark = pytest.mark.django_db(transaction=True)


def everything() -> tuple[Any, ...]:
    """All that an act could change."""
    return (
        list(Order.objects.order_by("pk").values()),
        list(TrailEntry.objects.order_by("pk").values()),
        list(Shipment.objects.order_by("pk").values()),
        testing.stated(),
        LogEntry.objects.count(),
    )


def test_no_field_of_an_order_can_be_edited(book: Book, admin_client: Client) -> None:
    order = confirmed(book)
    before = everything()
    assert admin_client.post(f"{ORDERS}{order.pk}/change/", {"status": "DELIVERED"}).status_code == 403
    assert admin_client.post(f"{ORDERS}{order.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{ORDERS}add/").status_code == 403
    assert "delete_selected" not in admin_client.get(ORDERS).content.decode()
    assert everything() == before


def test_ship_now_moves_what_can_be_shipped_and_says_why_not_the_rest(book: Book, admin_client: Client) -> None:
    first, second = confirmed(book), confirmed(book)
    declined = confirmed(book, card="pm_declined")
    pending = Order.objects.get(pk=place(book))
    response = select(admin_client, "ship_selected", first.pk, pending.pk, second.pk, declined.pk)

    shipped = testing.stated(catalogue.OrderShipped)
    assert sorted(shipped, key=lambda event: event.key) == [
        catalogue.OrderShipped(order_id=o.pk, flow=o.flow, tracking_number=o.shipment.tracking_number)
        for o in sorted((first, second), key=lambda o: str(o.pk))
    ]
    assert told(response) == [
        f"2 orders shipped: {first.reference}, {second.reference}.",
        f"1 order not changed, not paid yet: {pending.reference}.",
        f"1 order not changed, cancelled already: {declined.reference}.",
    ]
    first.refresh_from_db()
    assert first.status == Status.SHIPPED
    assert TrailEntry.objects.filter(order=first).latest("id").detail.startswith("by admin: parcel SP")
    assert Shipment.objects.get(order=first).state == Shipment.State.SHIPPED
    entries = LogEntry.objects.order_by("pk").values_list("object_id", "change_message", "user__username")
    assert set(entries) == {(str(first.pk), "Shipped", "admin"), (str(second.pk), "Shipped", "admin")}
    assert "Shipped" in text_of(admin_client.get(f"{ORDERS}{first.pk}/history/"))


def test_deliver_now_from_the_page_of_an_order(book: Book, admin_client: Client) -> None:
    order = confirmed(book)
    act(admin_client, "ship", order.pk)
    question = text_of(admin_client.get(f"{ORDERS}act/deliver/?order={order.pk}"))
    assert "publishes order.delivered" in question
    assert testing.stated(catalogue.OrderDelivered) == []

    response = act(admin_client, "deliver", order.pk)
    assert told(response) == [f"1 order delivered: {order.reference}."]
    assert testing.stated(catalogue.OrderDelivered) == [catalogue.OrderDelivered(order_id=order.pk, flow=order.flow)]
    assert text_of(response).count("br-moment-title") == 6
    assert told(act(admin_client, "deliver", order.pk)) == [
        f"1 order not changed, delivered already: {order.reference}."
    ]


def test_cancelling_asks_for_a_reason_and_undoes_what_was_done(book: Book, admin_client: Client) -> None:
    order = confirmed(book)
    before = everything()
    question = select(admin_client, "cancel_selected", order.pk)
    assert "The buyer reads it" in text_of(question)
    assert "This field is required" in text_of(act(admin_client, "cancel", order.pk, reason=" "))
    assert everything() == before

    response = act(admin_client, "cancel", order.pk, reason="the buyer asked for it")
    assert told(response) == [f"1 order cancelled: {order.reference}."]
    assert testing.stated(catalogue.OrderCancelled) == [
        catalogue.OrderCancelled(
            order_id=order.pk, flow=order.flow, reason="the buyer asked for it", total_minor=1250, currency="USD",
            was_confirmed=True, lines=(catalogue.Line(sku=book.isbn, quantity=1, unit_price_minor=1250),),
        )
    ]  # fmt: skip
    run()
    order.refresh_from_db()
    assert (order.status, order.cancel_reason, order.is_final) == (Status.CANCELLED, "the buyer asked for it", True)
    assert Stock.objects.get(sku=book.isbn).free == 50
    assert Refund.objects.get().state == Refund.State.SUCCEEDED
    assert LogEntry.objects.get().change_message == "Cancelled: the buyer asked for it"
    assert "by admin: the buyer asked for it" in text_of(admin_client.get(f"{ORDERS}{order.pk}/change/"))
    assert mail.outbox[-1].to == [order.email]


def test_an_order_that_cannot_be_cancelled_keeps_none_other_from_it(book: Book, admin_client: Client) -> None:
    gone, stays = confirmed(book), confirmed(book)
    act(admin_client, "ship", gone.pk)
    ghost = uuid.uuid4()
    response = act(admin_client, "cancel", gone.pk, ghost, stays.pk, stays.pk, reason="recall")
    assert told(response) == [
        f"1 order cancelled: {stays.reference}.",
        f"1 order not changed, shipped already: {gone.reference}.",
        f"1 order not changed, no such order: {ghost}.",
    ]
    assert [event.key for event in testing.stated(catalogue.OrderCancelled)] == [str(stays.pk)]


def test_a_link_alone_changes_nothing(book: Book, admin_client: Client) -> None:
    order = confirmed(book)
    before = everything()
    for name in order_actions.ACTIONS:
        assert admin_client.get(f"{ORDERS}act/{name}/?order={order.pk}&reason=x").status_code == 200
    outside = Client(enforce_csrf_checks=True)
    outside.force_login(User.objects.get(username="admin"))
    for name in order_actions.ACTIONS:
        assert act(outside, name, order.pk, reason="x").status_code == 403
    assert everything() == before
    assert admin_client.get(f"{ORDERS}act/ship/").status_code == 404
    assert admin_client.get(f"{ORDERS}act/burn/?order={order.pk}").status_code == 404


def test_who_may_only_look_can_do_nothing(book: Book, viewer: Client) -> None:
    order = confirmed(book)
    before = everything()
    page = viewer.get(ORDERS).content.decode()
    for action in ("ship_selected", "deliver_selected", "cancel_selected"):
        assert action not in page
        select(viewer, action, order.pk)
    assert "/act/" not in viewer.get(f"{ORDERS}{order.pk}/change/").content.decode()
    for name in order_actions.ACTIONS:
        assert viewer.get(f"{ORDERS}act/{name}/?order={order.pk}").status_code == 403
        assert act(viewer, name, order.pk, reason="x").status_code == 403
    assert everything() == before


def test_too_many_at_once_are_refused_whole(book: Book, admin_client: Client) -> None:
    user = User.objects.get(username="admin")
    many = [confirmed(book).pk, *(uuid.uuid4() for _ in range(order_actions.MOST_AT_ONCE))]
    before = everything()
    for one in order_actions.ACTIONS.values():
        with pytest.raises(order_actions.TooMany, match="nothing was done"):
            order_actions.carry_out(one, order_ids=many, user=user, reason="x")
    assert told(act(admin_client, "ship", *many)) == [
        "At most 500 orders at once. More were selected, so nothing was done."
    ]
    assert everything() == before


def test_what_is_said_to_stand_in_the_way_is_what_the_services_refuse(book: Book) -> None:
    user = User.objects.create_superuser("boss")

    def orders_in_every_state() -> list[Order]:
        made = [place(book) for _ in range(2)]
        run(without="payments")
        made += [place(book, flow=catalogue.PAYMENT_FIRST)]
        run(without="inventory")
        made += [place(book)]
        run(without="shipping")
        made += [confirmed(book).pk for _ in range(3)]
        made += [confirmed(book, card="pm_declined").pk]
        order_actions.carry_out(order_actions.SHIP, order_ids=made[-3:-1], user=user)
        order_actions.carry_out(order_actions.DELIVER, order_ids=made[-2:-1], user=user)
        return list(Order.objects.filter(pk__in=made).select_related("shipment"))

    for one in order_actions.ACTIONS.values():
        candidates = orders_in_every_state()
        expected = {order.pk for order in candidates if not one.obstacle(order)}
        report = order_actions.carry_out(one, order_ids=[order.pk for order in candidates], user=user, reason="test")
        assert {order.pk for order in report.done} == expected, one.name
        assert expected, one.name
        assert len(report.left) == len(candidates) - len(expected)
        assert all(why for _, why in report.left)
