"""What the fraud check does with what it hears: reviews, once each, in whatever sequence the facts come."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from events.base import Line
from events.orders import OrderCreated
from events.payments import PaymentConfirmed
from examples.fraud_check import services
from examples.fraud_check.handlers import group
from examples.fraud_check.models import FraudReview
from kafka_bridge import Event, testing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.window]
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def placed(**fields: object) -> OrderCreated:
    """An order.created of an order of its own that looks right, but for these fields."""
    return testing.example_of(OrderCreated, **{"order_id": uuid4(), "currency": "USD", "total_minor": 1250} | fields)


def paid(order: OrderCreated) -> PaymentConfirmed:
    """The order's payment."""
    return testing.example_of(PaymentConfirmed, order_id=order.order_id)


def give(*events: Event) -> None:
    """Hand these to the group, one by one."""
    for event in events:
        testing.give(group.name, event)


def reviews() -> dict[UUID, str]:
    """Why there are reviews, by order."""
    return dict(FraudReview.objects.values_list("order_id", "reasons"))


def test_an_order_that_looks_right_has_no_review() -> None:
    order = placed()
    give(order, paid(order))
    assert reviews() == {}


@pytest.mark.parametrize("is_paid_first", [False, True])
def test_a_large_order_has_one_review_once_it_is_paid(is_paid_first: bool) -> None:
    order = placed(total_minor=services.LARGE_MINOR)
    facts: list[Event] = [order, paid(order)]
    first, second = reversed(facts) if is_paid_first else facts
    give(first)
    assert reviews() == {}
    give(second, second)
    assert reviews() == {order.order_id: "it comes to 500.00 USD"}


def test_many_copies_of_one_book_are_looked_at() -> None:
    order = placed(lines=(Line(sku="9780000000019", quantity=services.MANY_UNITS, unit_price_minor=1),))
    give(order, paid(order))
    assert reviews() == {order.order_id: "20 copies of one book"}


def test_many_orders_of_one_network_within_an_hour_are_looked_at() -> None:
    orders = [placed(network="n1", visitor=f"v{number}") for number in range(services.MANY_ORDERS)]
    others = [placed(network="n2"), placed()]
    give(*orders, *others, *map(paid, (*orders, *others)))
    assert reviews() == {orders[-1].order_id: "5 orders within an hour from one visitor or network"}


def test_nobody_waits_for_it() -> None:
    """It states nothing, so nothing that others hear depends on it."""
    order = placed(total_minor=services.LARGE_MINOR)
    give(order, paid(order))
    assert testing.stated() == []


def test_what_nobody_stated_opens_no_review() -> None:
    order = placed(total_minor=services.LARGE_MINOR)
    testing.forge(group.name, order)
    testing.forge(group.name, paid(order))
    assert reviews() == {}


def test_the_preview_says_whether_there_is_a_review() -> None:
    order = placed(total_minor=services.LARGE_MINOR)
    assert "open a review" in group.preview[OrderCreated](order)
    give(order, paid(order))
    assert "has its review" in group.preview[PaymentConfirmed](paid(order))


def test_staff_close_a_review_in_the_admin(client: Client) -> None:
    order = placed(total_minor=services.LARGE_MINOR)
    give(order, paid(order))
    client.force_login(User.objects.create_superuser("clerk"))
    page = "/admin/fraud_check/fraudreview/"
    listed = client.get(page).content.decode()
    assert str(order.order_id) in listed and "Added services" in listed
    client.post(page, {"action": "close", "_selected_action": [str(order.order_id)]})
    assert FraudReview.objects.get().closed_by == "clerk"
