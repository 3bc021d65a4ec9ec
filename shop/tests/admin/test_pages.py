"""Who sees which page, and what a page costs."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from devtools.testing.shop.admin_desk import ALL_GROUPS, ORDERS, STOCK, place, run
from devtools.testing.shop.storefront import a_book
from events import catalogue
from kafka_bridge.consuming import registry
from orders.models import Status
from payments.models import Refund
from shop.admin.orders import order_labels
from shop.models import Book

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_page_is_for_staff_who_may_see_it(book: Book, admin_client: Client, viewer: Client) -> None:
    place(book)
    refused = place(a_book(stock=0), flow=catalogue.PAYMENT_FIRST)
    run()
    assert Refund.objects.get().charge.order_id == refused
    nobody = Client()
    outsider = Client()
    outsider.force_login(User.objects.create_user("intern", is_staff=True))
    buyer = Client()
    buyer.force_login(User.objects.create_user("buyer"))
    pages = ["/admin/"]
    for model, pages_of in admin.site._registry.items():
        meta = model._meta
        base = f"/admin/{meta.app_label}/{meta.model_name}/"
        pages.append(base)
        if (row := model._default_manager.first()) is not None:
            pages += [f"{base}{row.pk}/change/", f"{base}{row.pk}/history/"]
        assert pages_of.show_full_result_count is False
    assert len(pages) > 30
    for page in pages:
        seen = [c.get(page).status_code for c in (admin_client, viewer, outsider, buyer, nobody)]
        assert seen == [200, 200, 200 if page == "/admin/" else 403, 302, 302], page


def test_no_list_asks_more_for_more_rows(book: Book, admin_client: Client) -> None:
    def queries() -> dict[str, int]:
        found = {}
        for model in admin.site._registry:
            page = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            with CaptureQueriesContext(connection) as asked:
                admin_client.get(page)
            found[page] = len(asked)
        return found

    refunded: dict[str, Any] = {"flow": catalogue.PAYMENT_FIRST, "quantity": 20}
    place(book, user_id=User.objects.get(username="admin").pk)
    place(a_book(stock=1, shelf="first"), **refunded)
    run()
    few = queries()
    for number in range(5):
        other = a_book(stock=1, shelf=f"shelf{number}")
        place(other, user_id=User.objects.create_user(f"buyer{number}").pk)
        place(other, **refunded)
    run()
    assert queries() == few
    assert max(few.values()) <= 8, few


def test_signing_in_leads_to_the_admin_not_into_the_shop() -> None:
    User.objects.create_superuser("boss", password="secret")
    page = Client().get("/admin/login/").content.decode()
    assert '<input type="hidden" form="login-form" name="next" value="/admin/">' in page
    answer = Client().post("/admin/login/", {"username": "boss", "password": "secret", "next": "/admin/"})
    assert answer.headers["Location"] == "/admin/"


def test_the_side_bar_lists_what_one_may_see() -> None:
    user = User.objects.create_user("packer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_shipment", "view_order"]))
    client = Client()
    client.force_login(user)
    page = client.get("/admin/").content.decode()
    assert f'href="{ORDERS}"' in page
    assert 'href="/admin/orders/shipment/"' in page
    assert STOCK not in page
    assert "outboxrow" not in page


def test_every_status_and_every_group_is_known_here() -> None:
    assert set(order_labels.STATUS_COLOURS) == set(Status)
    assert {group.name for group in registry.groups()} == ALL_GROUPS
