"""Mails that buyers are owed, and their sending."""

from devtools.testing.shop.mail_server import MailServer
from devtools.testing.shop.orders import draft
from orders.mailing import mail_sending, mails
from orders.models import Order, OrderMail
from orders.placing import placement


def owed(*addresses: str) -> list[OrderMail]:
    """A mail to each of these."""
    ids = [placement.place(draft()).order_id for _ in addresses]
    for order_id, address in zip(ids, addresses, strict=True):
        Order.objects.filter(pk=order_id).update(email=address)
    mails.queue(order_ids=ids, kind=OrderMail.Kind.CONFIRMED)
    return [OrderMail.objects.get(order=order_id) for order_id in ids]


def send_all() -> None:
    """Send whatever is due."""
    while mail_sending.send_due():
        pass


def failed(server: MailServer) -> OrderMail:
    """A mail whose address the server does not know."""
    [mail] = owed("gone@example.org")
    server.refused = {"gone": "550 no such user"}
    send_all()
    return OrderMail.objects.select_related("order").get(pk=mail.pk)
