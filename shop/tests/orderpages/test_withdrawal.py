"""S8: a buyer withdraws without a reason, by the order's link or by naming the order, and gets one receipt."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.test import Client
from django.utils import timezone

from devtools.testing.shop.storefront import CONTACT, a_book, api_order
from events import catalogue
from kafka_bridge import testing
from orders import links
from orders.actions import returns
from orders.mailing import mail_sending
from orders.models import Order, OrderLine, OrderMail, ReturnRequest, Shipment, Status, Withdrawal
from shop.models import AuditEntry
from shop.site import one_time_forms

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.shop, pytest.mark.money]
_TOKEN = re.compile(rf'name="{one_time_forms.FIELD}" value="([0-9a-f-]{{36}})"')


@pytest.fixture
def order(client: Client) -> Order:
    """A guest's order of three copies, paid for."""
    client.post("/api/orders/", json.dumps(api_order(a_book(title="Broth"), 3)), content_type="application/json")
    order = Order.objects.get()
    moved(order, Status.PAID, held_at=timezone.now(), confirmed_at=timezone.now(), payment_reference="sbx_1")
    return order


def moved(order: Order, *statuses: Status, **fields: Any) -> None:
    """Bring the order somewhere."""
    for status in statuses:
        order.move_to(status, at=timezone.now())
        Order.objects.write([order])
    for name, value in fields.items():
        setattr(order, name, value)
    order.touch()
    Order.objects.write([order])


def delivered(order: Order, *, days_ago: int = 0) -> None:
    """The parcel has arrived."""
    Shipment.objects.create(order=order, carrier="c", tracking_number="SP1", due_at=timezone.now())
    moved(order, Status.SHIPPED, Status.DELIVERED, delivered_at=timezone.now() - timedelta(days=days_ago))


def by_link(order: Order) -> str:
    """Where the mail's link leads."""
    return links.withdrawal_address(order).removeprefix("http://127.0.0.1:8000")


def declare(client: Client, address: str, copies: int) -> Any:
    """Both steps, as a browser takes them."""
    sku = OrderLine.objects.get().sku
    assert "Which copies?" in client.get(address).content.decode()
    second = client.post(address, {f"copies-{sku}": copies})
    page = second.content.decode()
    assert "Confirm your withdrawal" in page
    assert not Withdrawal.objects.exists() or copies, "nothing is done before it is confirmed"
    token = _TOKEN.findall(page)
    form = {f"copies-{sku}": copies, "confirm": "1", **({one_time_forms.FIELD: token[-1]} if token else {})}
    first = client.post(address, form)
    again = client.post(address, form)
    assert (first.status_code, again.status_code) == (302, 302)
    return first


def receipts() -> list[str]:
    """The receipts that were sent, after all mails that are due were."""
    while mail_sending.send_due():
        pass
    return [str(each.body) for each in mail.outbox if each.subject.startswith("Receipt of your withdrawal")]


def test_before_the_parcel_has_left_it_is_cancelled_by_the_link(client: Client, order: Order) -> None:
    page = client.get(f"/orders/{order.pk}/?key={links.key_for(order.pk)}").content.decode()
    assert by_link(order).replace("&", "&amp;") in page
    declare(client, by_link(order), 3)
    order.refresh_from_db()
    assert order.status == Status.CANCELLED
    (receipt,) = receipts()
    assert "3 × Broth" in receipt  # noqa: RUF001
    assert f"{timezone.localdate():%Y}" in receipt
    assert order.reference in receipt
    assert Withdrawal.objects.get().units == {OrderLine.objects.get().sku: 3}
    assert [entry.what for entry in AuditEntry.objects.all()] == ["withdrawal declared"]
    assert len(testing.stated(catalogue.OrderCancelled)) == 1


def test_some_copies_are_taken_out_of_an_order(client: Client, order: Order) -> None:
    declare(client, by_link(order), 1)
    order.refresh_from_db()
    assert (order.status, OrderLine.objects.get().cancelled) == (Status.PAID, 1)
    (reduced,) = testing.stated(catalogue.OrderReduced)
    assert isinstance(reduced, catalogue.OrderReduced)
    assert reduced.amount_minor == OrderLine.objects.get().unit_price_minor
    assert len(receipts()) == 1


def test_after_the_delivery_a_guest_names_the_order_and_nobody_decides(order: Order) -> None:
    """The look-up lets a visitor withdraw, and see nothing else of the order."""
    delivered(order)
    visitor = Client()
    wrong = visitor.post("/withdraw/", {"reference": order.reference, "email": "other@example.com"})
    unknown = visitor.post("/withdraw/", {"reference": "NO-SUCH", "email": CONTACT["email"]})
    assert (wrong.status_code, unknown.status_code) == (422, 422)
    said = [re.findall(r'role="alert">(.*?)</div>', each.content.decode()) for each in (wrong, unknown)]
    assert said[0] == said[1] != [], "it does not tell which of the two is wrong"
    assert visitor.get(f"/orders/{order.pk}/withdraw/").status_code == 404

    answer = visitor.post("/withdraw/", {"reference": f" {order.reference.lower()} ", "email": "ADA@example.com"})
    assert answer["Location"] == f"/orders/{order.pk}/withdraw/"
    assert visitor.get(f"/orders/{order.pk}/").status_code == 404
    shown = visitor.get(answer["Location"]).content.decode()
    assert CONTACT["address_line1"] not in shown
    assert declare(visitor, answer["Location"], 2)["Location"] == "/withdraw/"
    request, sku = ReturnRequest.objects.get(), OrderLine.objects.get().sku
    assert (request.state, request.units) == (ReturnRequest.State.WITHDRAWN, {sku: 2})
    assert [("send these copies back" in each, "2 × Broth" in each) for each in receipts()] == [(True, True)]  # noqa: RUF001

    with transaction.atomic(), pytest.raises(returns.CannotReturn, match="cannot be declined"):
        returns.decline_return(request_id=request.pk, answer="no", by="grace")
    declare(visitor, answer["Location"], 1)
    request.refresh_from_db()
    assert (request.units, len(receipts())) == ({sku: 3}, 2)
    with transaction.atomic():
        returns.accept_return(order_id=order.pk, units={sku: 2}, reason="x", by="grace", request_id=request.pk)
    request.refresh_from_db()
    assert (request.state, request.units) == (ReturnRequest.State.WITHDRAWN, {sku: 1}), "one is still to come"
    with transaction.atomic():
        returns.accept_return(order_id=order.pk, units={sku: 1}, reason="x", by="grace", request_id=request.pk)
    request.refresh_from_db()
    assert (request.state, OrderLine.objects.get().returned) == (ReturnRequest.State.ACCEPTED, 3)


def test_what_was_asked_for_becomes_a_withdrawal(client: Client, order: Order) -> None:
    delivered(order)
    sku = OrderLine.objects.get().sku
    with transaction.atomic():
        returns.ask_return(order_id=order.pk, units={sku: 2}, reason="torn")
    declare(client, by_link(order), 3)
    request = ReturnRequest.objects.get()
    assert (request.state, request.units, request.reason) == (ReturnRequest.State.WITHDRAWN, {sku: 3}, "torn")
    page = client.get(f"/orders/{order.pk}/?key={links.key_for(order.pk)}").content.decode()
    assert "Withdrawn, waiting for the books" in page
    assert "Withdraw from the purchase" not in page, "nothing is left"


@pytest.mark.parametrize(("days", "may"), [(14, True), (15, False)])
def test_the_last_day_counts_to_its_end(client: Client, order: Order, days: int, may: bool) -> None:
    delivered(order, days_ago=days)
    answer = client.get(by_link(order), follow=True)
    page = answer.content.decode()
    assert ("Which copies?" in page, "The period for withdrawing from this order ended" in page) == (may, not may)
    if not may:
        client.post(by_link(order), {f"copies-{OrderLine.objects.get().sku}": 1, "confirm": "1"})
        assert not Withdrawal.objects.exists()
        assert not OrderMail.objects.exists()


def test_more_copies_than_there_are_and_none_are_explained(client: Client, order: Order) -> None:
    sku = OrderLine.objects.get().sku
    for copies, words in (("4", "Enter a whole number from 0 to 3."), ("0", "for at least one book")):
        answer = client.post(by_link(order), {f"copies-{sku}": copies, "confirm": "1"})
        assert (answer.status_code, words in answer.content.decode()) == (422, True)
    assert not Withdrawal.objects.exists()
