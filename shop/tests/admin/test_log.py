"""Who did what: every act of staff leaves one entry with what was before and after, and the pages show it."""

from datetime import UTC, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.utils import timezone

from devtools.testing.shop.admin_desk import ORDERS, STOCK, act, confirmed, place, select, text_of
from devtools.testing.shop.flash_sales import admin_form, date_and_time
from orders.models import Order
from shop.admin.operations import activity_log_admin
from shop.models import AuditEntry, Book, FlashSale
from shop.operations import activity_log

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]
LOG = "/admin/shop/auditentry/"


def entries() -> list[tuple[Any, ...]]:
    """What was noted, oldest first."""
    columns = ("who", "what", "subject", "reason", "before", "after")
    return list(AuditEntry.objects.order_by("id").values_list(*columns))


def test_shipping_and_delivering_are_noted_for_each_order_that_moved(book: Book, admin_client: Client) -> None:
    first, second, pending = confirmed(book), confirmed(book), place(book)
    select(admin_client, "ship_selected", first.pk, second.pk, pending)
    assert sorted(entries(), key=lambda entry: str(entry[2])) == [
        ("admin", "order shipped", order.reference, "", {"status": "PAID"}, {"status": "SHIPPED"})
        for order in sorted((first, second), key=lambda order: order.reference)
    ]
    assert {entry.order_id for entry in AuditEntry.objects.all()} == {first.pk, second.pk}
    act(admin_client, "deliver", first.pk)
    assert entries()[-1][1:] == (
        "order delivered", first.reference, "", {"status": "SHIPPED"}, {"status": "DELIVERED"},
    )  # fmt: skip


def test_a_cancellation_is_noted_with_the_status_that_it_ended(book: Book, admin_client: Client) -> None:
    paid, pending = confirmed(book), Order.objects.get(pk=place(book))
    act(admin_client, "cancel", paid.pk, pending.pk, reason="recall")
    after = {"status": "CANCELLED"}
    assert entries() == [
        ("admin", "order cancelled", paid.reference, "recall", {"status": "PAID"}, after),
        ("admin", "order cancelled", pending.reference, "recall", {"status": "PENDING"}, after),
    ]
    act(admin_client, "cancel", paid.pk, reason="again")
    assert len(entries()) == 2, "what was refused is not noted"


def test_cancelled_copies_are_noted_with_what_was_kept(book: Book, admin_client: Client) -> None:
    order = confirmed(book, quantity=3)
    data = {f"copies_{book.isbn}": "2", "reason": "torn"}
    admin_client.post(f"{ORDERS}{order.pk}/reduce/", data)
    assert entries() == [
        (
            "admin", "copies cancelled", order.reference, "torn",
            {"copies": {book.isbn: 3}, "total_minor": 3750}, {"copies": {book.isbn: 1}, "total_minor": 1250},
        )
    ]  # fmt: skip
    admin_client.post(f"{ORDERS}{order.pk}/reduce/", {**data, f"copies_{book.isbn}": "1"})
    assert len(entries()) == 1, "what was refused is not noted"


def test_stock_is_noted_with_what_the_records_said(book: Book, admin_client: Client) -> None:
    admin_client.post(f"{STOCK}receive/", {"sku": book.isbn, "units": "5", "reason": "a lorry"})
    admin_client.post(
        f"{STOCK}correct/?sku={book.isbn}", {"change": "-2", "counted": "", "reason": "damp", "expected": "55"}
    )
    assert entries() == [
        ("admin", "stock received", book.isbn, "a lorry", {"received": 50}, {"received": 55}),
        ("admin", "stock corrected", book.isbn, "damp", {"received": 55}, {"received": 53}),
    ]


def test_what_is_offered_is_noted_when_it_changes(book: Book, admin_client: Client) -> None:
    page = f"/admin/shop/book/{book.pk}/change/"
    offer = {"title": book.title, "price_minor": 1250, "for sale": True}
    form = {
        "title": book.title, "author": book.author, "category": str(book.category_id), "price": "19.99",
        "is_listed": "on", "year": str(book.year), "pages": str(book.pages), "weight_grams": "400",
        "blurb": "Another blurb.", "format": book.format, "language": book.language,
    }  # fmt: skip
    assert admin_client.post(page, form).status_code == 302
    assert admin_client.post(page, {**form, "blurb": "A third one."}).status_code == 302
    listing = {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": str(book.pk), "_save": "Save"}
    assert admin_client.post("/admin/shop/book/", listing).status_code == 302
    dearer = {**offer, "price_minor": 1999}
    assert entries() == [
        ("admin", "book changed", book.isbn, "", offer, dearer),
        ("admin", "book changed", book.isbn, "", dearer, {**dearer, "for sale": False}),
    ], "a blurb is no offer"


def test_a_sale_is_noted_with_its_books(book: Book, admin_client: Client) -> None:
    sales, start = "/admin/shop/flashsale/", timezone.now() + timedelta(hours=1)
    new = sale_form((book, "4.99", 20), starts_at=start)
    assert admin_client.post(f"{sales}add/", new).status_code == 302
    sale = FlashSale.objects.get()
    assert admin_client.post(f"{sales}{sale.pk}/change/", sale_form((book, "3.99", 20), sale=sale)).status_code == 302
    made, changed = entries()
    assert made[1:5] == ("sale changed", "Rush", "", {})
    assert made[5]["books"] == {book.isbn: {"price_minor": 499, "units": 20}}
    assert made[5]["start"] == f"{start.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    assert (changed[4]["books"], changed[5]["books"]) == (
        made[5]["books"], {book.isbn: {"price_minor": 399, "units": 20}},
    )  # fmt: skip

    FlashSale.objects.update(starts_at=timezone.now() - timedelta(minutes=1))
    admin_client.post(sales, {"action": "end_now", "_selected_action": [sale.pk]})
    ended = entries()[-1]
    assert (ended[1], ended[4]["end"] > ended[5]["end"]) == ("sale ended", True)


def sale_form(*rows: tuple[Book, str, int], **changes: Any) -> dict[str, str]:
    """What the page of a sale would send."""
    starts_at = changes.pop("starts_at", None)
    times = (
        date_and_time("starts_at", starts_at) | date_and_time("ends_at", starts_at + timedelta(hours=2))
        if starts_at
        else {}
    )
    return admin_form(*rows, **times, **changes)


def test_an_order_leads_to_what_was_done_to_it(book: Book, admin_client: Client, viewer: Client) -> None:
    order, other = confirmed(book), confirmed(book)
    act(admin_client, "ship", order.pk)
    act(admin_client, "cancel", other.pk, reason="recall")
    page = text_of(admin_client.get(f"{ORDERS}{order.pk}/change/"))
    assert f'href="{LOG}?q={order.pk}"' in page
    assert "order shipped" in page.split('id="log-title"')[1].split("</section>")[0]
    for words in (str(order.pk), order.reference, order.reference.lower()):
        shown = admin_client.get(LOG, {"q": words}).context["cl"].result_list
        assert [entry.what for entry in shown] == ["order shipped"], words
    assert len(viewer.get(LOG, {"q": "admin"}).context["cl"].result_list) == 2


def test_an_entry_shows_before_beside_after(admin_client: Client) -> None:
    with transaction.atomic():
        activity_log.record(
            user=User.objects.get(username="admin"),
            what="copies cancelled",
            subject="BR-1",
            before={"copies": {"978": 3}, "total_minor": 3750, "is_listed": True},
            after={"copies": {"978": 1}, "total_minor": 1250, "is_listed": True, "note": "<b>"},
        )
    entry = AuditEntry.objects.get()
    assert {
        change.name: (change.before, change.after, change.is_change) for change in activity_log_admin.changes_of(entry)
    } == {
        "copies 978": ("3", "1", True),
        "total": ("$37.50", "$12.50", True),
        "is listed": ("yes", "yes", False),
        "note": ("", "<b>", True),
    }
    page = admin_client.get(f"{LOG}{entry.pk}/change/").content.decode()
    for words in ("<del>$37.50</del>", "<ins>$12.50</ins>", "<ins>&lt;b&gt;</ins>"):
        assert words in page, words
    assert "$37.50 → $12.50" in text_of(admin_client.get(LOG))


def test_the_log_is_narrowed_down(admin_client: Client) -> None:
    with transaction.atomic():
        activity_log.record(user=User.objects.get(username="admin"), what="order shipped", subject="BR-1")
        activity_log.record(user=User.objects.create_user("ada"), what="order shipped", subject="BR-2")
        activity_log.record(user=None, what="order cancelled", subject="BR-3")

    def shown(**query: str) -> list[str]:
        return [entry.subject for entry in admin_client.get(LOG, query).context["cl"].result_list]

    assert shown() == ["BR-3", "BR-2", "BR-1"]
    assert (shown(by="me"), shown(by="account"), shown(by="guest")) == (["BR-1"], ["BR-2", "BR-1"], ["BR-3"])
    assert shown(what="order shipped") == ["BR-2", "BR-1"]
    year = AuditEntry.objects.latest("id").at.year
    assert (len(shown(at__year=str(year))), shown(at__year=str(year - 1))) == (3, [])


def test_nobody_edits_the_log(admin_client: Client, viewer: Client) -> None:
    with transaction.atomic():
        activity_log.record(user=None, what="order cancelled", subject="BR-3")
    entry = AuditEntry.objects.get()
    for client in (admin_client, viewer):
        assert client.post(f"{LOG}{entry.pk}/change/", {"who": "eve"}).status_code == 403
        assert client.post(f"{LOG}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
        assert client.get(f"{LOG}add/").status_code == 403
    assert AuditEntry.objects.get().who == "buyer"
