"""The audits in the admin: their history, the page of one, one more on demand, and the tile on the start page."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import F
from django.test import Client

from devtools.testing.shop.admin_desk import confirmed, text_of, told
from inventory.models import Stock
from inventory.redis_counters import counter_sync
from orders.models import Order
from shop import audit
from shop.admin.site import dashboard
from shop.audit import runner
from shop.models import AuditRun, Book

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock]
AUDITS = "/admin/shop/auditrun/"


@pytest.fixture(autouse=True)
def counters(book: Book) -> None:
    """Counters for the stock."""
    counter_sync.sync()


def tile(client: Client) -> tuple[str, str, bool]:
    """What the start page says of the last audit: value, detail, alarm."""
    shop: dashboard.Figures = client.get("/admin/").context["shop"]
    return next((f.value, f.detail, f.is_alarming) for f in shop.figures if f.title == "Last audit")


def test_an_audit_on_demand_shows_what_it_found(book: Book, admin_client: Client) -> None:
    order = confirmed(book)
    page = text_of(admin_client.post(f"{AUDITS}now/", follow=True))
    assert f"All {len(runner.RULES)} invariants hold." in page
    assert AuditRun.objects.get().by == "admin"

    Order.objects.update(total_minor=1)
    response = admin_client.post(f"{AUDITS}now/", follow=True)
    assert told(response) == [f"1 of {len(runner.RULES)} invariants do not hold."]
    assert response.redirect_chain == [(f"{AUDITS}{AuditRun.objects.latest('started_at').pk}/change/", 302)]
    page = text_of(response)
    assert re.findall(r"<strong>(\d+ wrong)</strong>", page) == ["1 wrong"]
    assert page.index("order totals add up") < page.index("ledger adds up"), "what is off comes first"
    assert f'href="/admin/orders/order/{order.pk}/change/">{order.pk}</a>' in page
    assert "What to do:</strong> Compare the order with its charge" in page


def test_the_list_shows_the_newest_first(admin_client: Client, viewer: Client) -> None:
    audit.run(grace_seconds=60, by="ada")
    Stock.objects.update(received=F("received") + 1)
    audit.run(grace_seconds=60, by="timekeeper")
    for client, may_audit in ((admin_client, True), (viewer, False)):
        response = client.get(AUDITS)
        assert [(run.by, run.is_clean) for run in response.context["cl"].result_list] == [
            ("timekeeper", False), ("ada", True),
        ]  # fmt: skip
        assert ("Audit now" in text_of(response)) is may_audit
    page = text_of(viewer.get(AUDITS))
    assert "2 wrong" in page
    assert "ledger adds up; counter + held + sold = received" in page


def test_only_those_who_may_have_the_shop_audited(admin_client: Client, viewer: Client) -> None:
    assert viewer.post(f"{AUDITS}now/").status_code == 403
    assert admin_client.get(f"{AUDITS}now/").status_code == 405
    assert AuditRun.objects.count() == 0
    user = User.objects.get(username="viewer")
    user.user_permissions.add(Permission.objects.get(codename="add_auditrun"))
    assert viewer.post(f"{AUDITS}now/", follow=True).status_code == 200
    assert AuditRun.objects.get().by == "viewer"
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    assert strict.post(f"{AUDITS}now/").status_code == 403


def test_the_start_page_shows_the_last_result_with_its_age(admin_client: Client) -> None:
    assert tile(admin_client) == ("none yet", "the timekeeper audits the shop every minute", False)
    audit.run(grace_seconds=60, by="timekeeper")
    value, detail, alarm = tile(admin_client)
    assert (value, alarm) == ("clean", False)
    assert re.fullmatch(r"(\d+ ms|[\d.]+ s) ago, by timekeeper", detail)
    AuditRun.objects.update(started_at=F("started_at") - timedelta(minutes=11))
    assert tile(admin_client) == ("clean", "11 min ago, by timekeeper", True)
    Stock.objects.update(received=F("received") + 1)
    audit.run(grace_seconds=60, by="ada")
    value, _, alarm = tile(admin_client)
    assert (value, alarm) == ("2 wrong", True)
