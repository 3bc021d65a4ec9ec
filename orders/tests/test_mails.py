"""What the mails about money say, in every case."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone

from devtools.testing.shop.orders import CHARGE, SKU, draft
from events import catalogue
from events.base import OrderEvent
from kafka_bridge import testing
from kafka_bridge.wire.events import Event
from orders import links
from orders.actions import cancellation
from orders.cancel_reasons import BY_BUYER
from orders.mailing import mail_sending, mails
from orders.models import Order, OrderMail, Status
from orders.placing import placement

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]
BANK = "https://bank.example/confirm/1"
UNSURE = "You will not be charged; if money was on its way already, you get all of it back."


def place(**changes: Any) -> Order:
    return Order.objects.get(pk=placement.place(draft(**changes)).order_id)


def hear(order: Order, kind: type[OrderEvent], **fields: Any) -> None:
    """Orders hears this of it; a new event each time."""
    offset = 1000 * order.trail.count()
    testing.give("orders", kind(order_id=order.pk, flow=order.flow, **fields), topic_offset=offset)


def pay(order: Order) -> None:
    hear(
        order, catalogue.PaymentConfirmed, charge_id=CHARGE, transaction_id="t1", amount_minor=1250, currency="USD",
        payment_method="pm_success", lines=(),
    )  # fmt: skip


def sent_after(*facts: Event) -> list[EmailMessage]:
    """The mails that buyers get once notifications has heard these."""
    testing.give("notifications", *facts, topic_offset=100_000)
    while mail_sending.send_due():
        pass
    return list(mail.outbox)


def cancelled(order: Order, reason: str) -> str:
    """The mail about an order that ended for this reason."""
    with transaction.atomic():
        cancellation.cancel(order_id=order.pk, reason=reason, by="ada")
    [sent] = sent_after(*testing.stated(catalogue.OrderCancelled))
    assert sent.subject == f"Order cancelled: {order.reference}"
    return str(sent.body)


@pytest.mark.parametrize(
    ("flow", "reason", "paid", "sentences"),
    [
        ("reserve_first", "out of stock", False, "We are sorry: the last copies went to someone else.\nYou have not been charged."),  # noqa: E501
        ("payment_first", "out of stock", True, "We are sorry: the last copies went to someone else.\nYour money is being refunded."),  # noqa: E501
        ("payment_first", "out of stock", False, f"We are sorry: the last copies went to someone else.\n{UNSURE}"),
        ("reserve_first", "payment failed: card declined", False, "Your payment did not go through (card declined).\nYou have not been charged."),  # noqa: E501
        ("reserve_first", "payment failed: not confirmed in time", False, "Your bank asked you to confirm the payment, and that did not happen in time.\nYou have not been charged."),  # noqa: E501
        ("reserve_first", "not paid in time", False, "so they went back on sale.\nYou have not been charged."),
        ("reserve_first", "not completed in time", False, f"something kept us from completing your order in time.\n{UNSURE}"),  # noqa: E501
        ("reserve_first", "cancelled by the buyer", False, f"You cancelled this order.\n{UNSURE}"),
        ("reserve_first", "cancelled by the buyer", True, "You cancelled this order.\nYour money is being refunded."),
        ("reserve_first", "water damage", True, "The order was cancelled: water damage.\nYour money is being refunded."),  # noqa: E501
    ],
)  # fmt: skip
def test_a_cancelled_order_says_why_and_what_becomes_of_the_money(
    flow: str, reason: str, paid: bool, sentences: str
) -> None:
    order = place(flow=flow)
    if paid:
        pay(order)
    assert sentences in cancelled(order, reason)


def test_a_payment_that_came_too_late_is_explained_with_its_refund() -> None:
    """FAILURES 13: told to the buyer."""
    order = place()
    assert UNSURE in cancelled(order, str(BY_BUYER))
    pay(order)
    back = catalogue.PaymentRefunded(
        order_id=order.pk, flow=order.flow, charge_id=CHARGE, refund_id=uuid4(), amount_minor=1250, currency="USD",
        reason="late",
    )  # fmt: skip
    testing.give("orders", back, topic_offset=50_000)
    told = sent_after(back)[-1]
    assert told.subject == f"Money refunded: {order.reference}"
    assert "We have refunded 12.50 USD for your order: it reached us after the order was cancelled." in told.body


def test_a_buyer_is_asked_to_confirm_with_a_link_that_opens_the_order() -> None:
    guest, owner = place(), place(user_id=User.objects.create_user("reader").pk)
    until = timezone.now() + timedelta(minutes=8)
    for order in (guest, owner):
        hear(order, catalogue.PaymentActionRequired, charge_id=CHARGE, url=BANK, until=until)
    asked = [
        catalogue.PaymentActionRequired(order_id=order.pk, flow=order.flow, charge_id=CHARGE, url=BANK, until=until)
        for order in (guest, owner)
    ]
    first, second = sent_after(*asked)
    assert first.subject == f"Please confirm your payment: {guest.reference}"
    assert f"until {until:%H:%M} UTC." in first.body
    assert f"/orders/{guest.pk}/?key={links.key_for(guest.pk)}\n" in first.body
    assert f"/orders/{owner.pk}/\n" in second.body
    assert BANK not in first.body, "mails that lead to a bank's page are what frauds send"


@pytest.mark.parametrize("status", [Status.PAID, Status.CANCELLED])
def test_nobody_is_asked_to_confirm_what_is_settled(status: Status) -> None:
    order = place()
    fact = catalogue.PaymentActionRequired(order_id=order.pk, flow=order.flow, charge_id=CHARGE, url=BANK)
    testing.give("orders", fact)
    if status == Status.PAID:
        pay(order)
    else:
        hear(order, catalogue.PaymentFailed, charge_id=CHARGE, reason="not confirmed in time")
    assert sent_after(fact) == []
    assert not OrderMail.objects.filter(kind="pay").exists()


def test_refunds_of_copies_say_which() -> None:
    order = place(units={SKU: 3})
    for number, change, words in (
        (1, {"cancelled": 1}, "for the copies that were cancelled."),
        (2, {"cancelled": 0, "returned": 1}, "for the copies that came back."),
        (3, {"cancelled": 1, "returned": 1}, "for copies that were cancelled or came back."),
    ):
        order.lines.update(**change)
        with transaction.atomic():
            note = mails.MailRequest(order_id=order.pk, kind=OrderMail.Kind.REFUNDED, number=number, amount_minor=1250)
            mails.queue_each(requests=[note])
        while mail_sending.send_due():
            pass
        assert f"We have refunded 12.50 USD {words}" in mail.outbox[-1].body
