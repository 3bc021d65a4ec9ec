"""The start page and the sales figures."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from devtools.testing.shop.admin_desk import confirmed, place, text_of
from devtools.testing.shop.storefront import a_book
from kafka_bridge.models import OutboxRow
from orders.models import Order, ReturnRequest
from payments.models import Charge, Review
from shop.admin.site import dashboard
from shop.models import Book, BookSales, DailySales

pytestmark = pytest.mark.django_db(transaction=True)


def figures(client: Client) -> dict[str, tuple[str, str, bool]]:
    """The start page's figures: value, detail, alarm."""
    shop: dashboard.Figures = client.get("/admin/").context["shop"]
    return {figure.title: (figure.value, figure.detail, figure.is_alarming) for figure in shop.figures}


def test_the_start_page_says_what_is_so(book: Book, admin_client: Client) -> None:
    quiet = figures(admin_client)
    assert quiet["Orders today"] == ("0", "placed since midnight UTC", False)
    assert quiet["Sales today"] == ("$0.00", "nothing counted yet today", False)
    assert quiet["Waiting for the relay"] == ("0", "every event is in Kafka", False)
    assert not any(alarm for _, _, alarm in quiet.values())

    confirmed(book, quantity=2)
    confirmed(book, card="pm_declined")
    old = place(book)
    Order.objects.filter(pk=old).update(placed_at=F("placed_at") - timedelta(minutes=3))
    OutboxRow.objects.filter(key=str(old)).update(created_at=F("created_at") - timedelta(minutes=3))
    a_book(stock=3, title="Nearly gone")
    a_book(stock=0, title="Never arrived")
    found = figures(admin_client)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    today = Order.objects.filter(placed_at__gte=midnight).count()
    assert found["Orders today"][0] == str(today)
    assert found["Stuck orders"] == ("1", "unconfirmed after 60 s", True)
    assert found["Sales today"] == ("$25.00", "1 order confirmed, 2 units", False)
    assert found["Waiting for the relay"] == ("1", "the oldest for 3 min", True)
    assert found["Low stock"] == ("1", "titles with 5 or fewer free", False)
    assert found["Open charges"][0] == found["Open refunds"][0] == found["Mails to send"][0] == "0"

    shop: dashboard.Figures = admin_client.get("/admin/").context["shop"]
    assert sum(status.number for status in shop.statuses) == today
    assert [row.title for row in shop.scarce] == ["Nearly gone"]
    assert len(shop.latest) == 3
    assert [day.percent for day in shop.days] == [0] * 13 + [100]
    for figure in shop.figures:
        assert admin_client.get(figure.url).status_code == 200


def test_the_figures_lead_to_the_rows_that_they_count(book: Book, admin_client: Client) -> None:
    confirmed(book)
    Charge.objects.update(state="requested", attempts=2)
    a_book(stock=2)
    ReturnRequest.objects.create(order=Order.objects.get(), units={book.isbn: 1}, reason="torn")
    for subject in ("one", "two"):
        Review.objects.create(kind=Review.Kind.ORPHAN_PAYMENT, subject=subject, detail="money of nobody")
    Review.objects.create(kind=Review.Kind.ORPHAN_PAYMENT, subject="three", detail="settled", closed_at=timezone.now())
    shop: dashboard.Figures = admin_client.get("/admin/").context["shop"]
    urls = {figure.title: figure for figure in shop.figures}
    assert urls["Open charges"].is_alarming
    assert (urls["Needs a person"].value, urls["Needs a person"].is_alarming) == ("2", True)
    assert (urls["Open returns"].value, urls["Open returns"].is_alarming) == ("1", False)
    for title in (
        "Needs a person",
        "Open returns",
        "Open charges",
        "Low stock",
        "Stuck orders",
        "Open refunds",
        "Mails to send",
        "Waiting for the relay",
    ):
        rows = admin_client.get(urls[title].url).context["cl"].result_list
        assert str(len(rows)) == urls[title].value, title


def test_the_start_page_shows_nobody_more_than_they_may_see() -> None:
    user = User.objects.create_user("packer", is_staff=True)
    client = Client()
    client.force_login(user)
    assert "may not view any" in text_of(client.get("/admin/"))
    user.user_permissions.set(Permission.objects.filter(codename="view_stock"))
    assert set(figures(client)) == {"Low stock"}


def test_the_start_page_asks_a_fixed_number_of_questions(book: Book, admin_client: Client) -> None:
    with CaptureQueriesContext(connection) as few:
        admin_client.get("/admin/")
    for _ in range(4):
        confirmed(book)
        a_book(stock=1)
    with CaptureQueriesContext(connection) as many:
        admin_client.get("/admin/")
    assert len(many) == len(few) <= 25


def test_sales_are_shown_with_titles_and_cannot_be_edited(book: Book, admin_client: Client) -> None:
    confirmed(book, quantity=3)
    BookSales.objects.create(sku="9780000000002", units=1, revenue_minor=100)
    titles = [row.title for row in admin_client.get("/admin/shop/booksales/").context["cl"].result_list]
    assert titles == [book.title, None]
    assert "$37.50" in text_of(admin_client.get("/admin/shop/booksales/?q=glasshouse"))
    day = DailySales.objects.get().pk
    assert "$37.50" in text_of(admin_client.get(f"/admin/shop/dailysales/{day}/change/"))
    for page in (f"/admin/shop/dailysales/{day}/", f"/admin/shop/booksales/{book.isbn}/"):
        assert admin_client.post(f"{page}change/", {"units": "9"}).status_code == 403


@pytest.mark.parametrize(
    ("changes", "alarming"),
    [
        ({"state": "action_required", "attempts": 7}, False),
        ({"state": "authorized", "attempts": 1}, False),
        ({"state": "capturing", "attempts": 2}, True),
        ({"state": "action_required", "unknown_since": timezone.now()}, True),
        ({"state": "succeeded", "attempts": 5}, False),
    ],
)
def test_a_charge_that_waits_for_the_buyer_alarms_nobody(
    book: Book, admin_client: Client, changes: dict[str, Any], alarming: bool
) -> None:
    confirmed(book)
    Charge.objects.update(**changes)
    shop: dashboard.Figures = admin_client.get("/admin/").context["shop"]
    (figure,) = (figure for figure in shop.figures if figure.title == "Open charges")
    assert figure.is_alarming is alarming
