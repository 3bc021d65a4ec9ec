"""Every form of staff and buyers that moves something, as somebody is about to send it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.test import Client
from django.utils import timezone

from devtools.testing.bridge.dead_letters import a_letter
from devtools.testing.shop.admin_desk import ORDERS, act, confirmed, place, run
from devtools.testing.shop.flash_sales import a_sale
from devtools.testing.shop.storefront import a_book
from kafka_bridge.consuming import controls
from kafka_bridge.models import RefusedMessage
from orders import links
from orders.models import Order, OrderMail, ReturnRequest
from payments.models import Charge, Review
from shop.models import AlertSilence, Book
from shop.waiting_room import rooms


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form as somebody is about to send it."""

    page: str
    data: dict[str, Any]
    to: str = ""
    """Where it is sent; empty for the page itself."""


def _book() -> Book:
    return a_book(stock=50, title="The Glasshouse Alibi")


def _order(quantity: int = 4) -> Order:
    return confirmed(_book(), quantity=quantity)


def _shipped(client: Client) -> Order:
    order = _order()
    act(client, "ship", order.pk)
    run()
    order.refresh_from_db()
    return order


def _receive(client: Client) -> Form:
    return Form(page="/admin/inventory/stock/receive/", data={"sku": _book().isbn, "units": "10", "reason": "delivery"})


def _correct(client: Client) -> Form:
    page = f"/admin/inventory/stock/correct/?sku={_book().isbn}"
    return Form(page=page, data={"change": "-1", "reason": "damaged", "expected": "50"})


def _reduce(client: Client) -> Form:
    line = _order(5).lines.get()
    return Form(page=f"{ORDERS}{line.order_id}/reduce/", data={f"copies_{line.sku}": "1", "reason": "torn"})


def _refund(client: Client) -> Form:
    line = _shipped(client).lines.get()
    page = f"/admin/orders/returnrequest/refund/{line.order_id}/"
    data = {f"copies_{line.sku}": "1", "reason": "torn", "confirmed": str(line.unit_price_minor)}
    return Form(page=page, data=data)


def _decline(client: Client) -> Form:
    order = _shipped(client)
    asked = ReturnRequest.objects.create(order=order, units={order.lines.get().sku: 1}, reason="upside down")
    return Form(page=f"/admin/orders/returnrequest/{asked.pk}/decline/", data={"answer": "They were read."})


def _act(name: str, **data: str) -> Callable[[Client], Form]:
    def form(client: Client) -> Form:
        order = _shipped(client) if name == "deliver" else _order()
        page = f"{ORDERS}act/{name}/"
        return Form(page=f"{page}?order={order.pk}", to=page, data={"order": str(order.pk), **data})

    return form


def _selected(name: str) -> Callable[[Client], Form]:
    def form(client: Client) -> Form:
        order = _shipped(client) if name == "deliver_selected" else _order()
        return Form(page=ORDERS, data={"action": name, "_selected_action": [str(order.pk)]})

    return form


def _ask(client: Client) -> Form:
    place(_book())
    run(without="inventory")
    order = Order.objects.get()
    charge = Charge.objects.create(order_id=order.pk, flow=order.flow, amount_minor=1, currency="USD")
    return Form(
        page=f"/admin/payments/charge/{charge.pk}/change/", to=f"/admin/payments/charge/{charge.pk}/ask/", data={}
    )


def _refund_excess(client: Client) -> Form:
    order = _order()
    Order.objects.filter(pk=order.pk).delete()
    page = f"/admin/payments/charge/{Charge.objects.get().pk}/refund/"
    return Form(page=page, data={"reason": "no such order"})


def _close(client: Client) -> Form:
    review = Review.objects.create(kind=Review.Kind.ORPHAN_PAYMENT, subject="pay_1", detail="who?")
    page = "/admin/payments/review/close/"
    return Form(page=f"{page}?review={review.pk}", to=page, data={"review": str(review.pk), "note": "ours"})


def _audit(client: Client) -> Form:
    return Form(page="/admin/shop/auditrun/", to="/admin/shop/auditrun/now/", data={})


def _letter(name: str) -> Callable[[Client], Form]:
    def form(client: Client) -> Form:
        letter = a_letter()
        page = f"/admin/kafka_bridge/deadletter/act/{name}/"
        return Form(page=f"{page}?letter={letter.pk}", to=page, data={"letter": str(letter.pk), "reason": "mended"})

    return form


def _edit(client: Client) -> Form:
    letter = a_letter()
    body = bytes(letter.value).decode()
    return Form(page=f"/admin/kafka_bridge/deadletter/{letter.pk}/edit/", data={"body": body, "reason": "mended"})


def _refused(client: Client) -> Form:
    refused = RefusedMessage.objects.create(
        group="orders", topic="payments.events", partition=0, offset=0, key="k", event_id=uuid4(),
        type="payment.confirmed", value=b"{}", why="nobody stated it", undone="nothing",
    )  # fmt: skip
    page = "/admin/kafka_bridge/refusedmessage/close/"
    return Form(page=f"{page}?message={refused.pk}", to=page, data={"message": str(refused.pk), "reason": "a test"})


def _failed_mail(do: str, **data: str) -> Callable[[Client], Form]:
    def form(client: Client) -> Form:
        mail = _order().mails.earliest("id")
        OrderMail.objects.filter(pk=mail.pk).update(failed_at=timezone.now(), last_error="550 no such user")
        return Form(page=f"/admin/orders/ordermail/{mail.pk}/decide/", data={"do": do, **data})

    return form


def _end_sale(client: Client) -> Form:
    sale = a_sale(a_book(stock=50, title="Rush"), units=10)
    return Form(page="/admin/shop/flashsale/", data={"action": "end_now", "_selected_action": [str(sale.pk)]})


def _pause_queue(client: Client) -> Form:
    sale = a_sale(_book(), waiting_room="on")
    rooms.open_room(sale)
    return Form(page=f"/admin/queue/{sale.pk}/", data={"reason": "wrong price"})


def _category(client: Client) -> Form:
    return Form(page="/admin/shop/category/add/", data={"name": "Maps", "slug": "maps", "position": "3", "tagline": ""})


def _silence(client: Client) -> Form:
    data = {"name": "lag", "subject": "shipping", "hours": "1", "reason": "a test"}
    return Form(page="/admin/shop/alertsilence/new/", data=data)


def _end_silence(client: Client) -> Form:
    until = timezone.now() + timedelta(hours=1)
    silence = AlertSilence.objects.create(name="lag", subject="", until=until, who="ada", reason="a test")
    page = f"/admin/shop/alertsilence/{silence.pk}/"
    return Form(page=f"{page}change/", to=f"{page}end/", data={})


def _group(name: str, **data: str) -> Callable[[Client], Form]:
    def form(client: Client) -> Form:
        if name == "resume":
            controls.pause(group="shipping", who="ada", reason="a strike")
        page = f"/admin/operations/{name}/?group=shipping"
        return Form(page=page, data={"group": "shipping", "reason": "a strike", **data})

    return form


def _buyer_cancel(client: Client) -> Form:
    order = _order()
    return Form(page=f"/orders/{order.pk}/cancel/?key={links.key_for(order.pk)}", data={})


def _buyer_return(client: Client) -> Form:
    order = _shipped(client)
    data = {f"copies-{order.lines.get().sku}": "1", "reason": "a page is missing"}
    return Form(page=f"/orders/{order.pk}/return/?key={links.key_for(order.pk)}", data=data)


def _buyer_withdraw(client: Client) -> Form:
    order = _shipped(client)
    data = {f"copies-{order.lines.get().sku}": "1", "confirm": "1"}
    return Form(page=f"/orders/{order.pk}/withdraw/?key={links.key_for(order.pk)}", data=data)


# By the name of the URL that the form is sent to, or of the action.
FORMS: dict[str, Callable[[Client], Form]] = {
    "inventory_stock_receive": _receive,
    "inventory_stock_correct": _correct,
    "orders_order_reduce": _reduce,
    "orders_returnrequest_refund": _refund,
    "orders_returnrequest_decline": _decline,
    "orders_order_act cancel": _act("cancel", reason="sold out"),
    "orders_order_act ship": _act("ship"),
    "orders_order_act deliver": _act("deliver"),
    "ship_selected": _selected("ship_selected"),
    "deliver_selected": _selected("deliver_selected"),
    "payments_charge_ask": _ask,
    "payments_charge_refund": _refund_excess,
    "payments_review_close": _close,
    "shop_auditrun_now": _audit,
    "kafka_bridge_deadletter_act redrive": _letter("redrive"),
    "kafka_bridge_deadletter_act discard": _letter("discard"),
    "kafka_bridge_deadletter_act discard-key": _letter("discard-key"),
    "kafka_bridge_deadletter_edit": _edit,
    "kafka_bridge_refusedmessage_close": _refused,
    "orders_ordermail_decide again": _failed_mail("again"),
    "orders_ordermail_decide correct": _failed_mail("correct", email="here@example.org"),
    "orders_ordermail_decide give-up": _failed_mail("give-up"),
    "shop_alertsilence_new": _silence,
    "shop_alertsilence_end": _end_silence,
    "operations_pause": _group("pause"),
    "operations_resume": _group("resume"),
    "operations_rejoin": _group("rejoin", member="shipping-1"),
    "end_now": _end_sale,
    "queue": _pause_queue,
    "shop_category_add": _category,
    "order_cancel": _buyer_cancel,
    "order_return": _buyer_return,
    "order_withdraw": _buyer_withdraw,
}
