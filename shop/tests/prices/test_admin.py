"""Staff edit rates and coupons: in the currency's main unit, logged, and with words for what cannot be."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from devtools.testing.shop.rates import a_coupon, a_method, a_tax
from orders.coupons.tables import Coupon
from shop.models import AuditEntry, ShippingMethod, TaxRate
from shop.prices import rates

pytestmark = [pytest.mark.django_db, pytest.mark.shop]
RATES = {"rates-TOTAL_FORMS": "2", "rates-INITIAL_FORMS": "0", "rates-MIN_NUM_FORMS": "0", "rates-MAX_NUM_FORMS": "99"}
COUPON = {"code": "spring", "is_active": "on", "kind": "percent", "percent": "10", "amount": "", "minimum": "20"}
WHEN = {f"{name}_{part}": "" for name in ("starts_at", "ends_at") for part in (0, 1)} | {"limit": "5", "limit_each": ""}


def test_a_way_of_shipping_is_added_with_its_rates(admin_client: Client) -> None:
    form = {
        "name": "Standard", "code": "standard", "position": "0", "is_active": "on", **RATES,
        "rates-0-country": "DE", "rates-0-upto_grams": "2000", "rates-0-price": "4.90", "rates-0-free_from": "40",
        "rates-1-country": "", "rates-1-upto_grams": "", "rates-1-price": "0", "rates-1-free_from": "",
    }  # fmt: skip
    assert admin_client.post("/admin/shop/shippingmethod/add/", form).status_code == 302
    found = ShippingMethod.objects.get().rates.values_list("country", "upto_grams", "price_minor", "free_from_minor")
    assert sorted(found) == [("", None, 0, None), ("DE", 2000, 490, 4000)]
    assert AuditEntry.objects.values_list("what", "subject").get() == ("rates added", "Standard")
    rates.forget()
    assert [way.price_minor for way in rates.now().ways("DE", 100, 0)] == [490]


def test_an_unknown_country_is_refused(admin_client: Client) -> None:
    form = {"country": "XX", "valid_from": "2026-01-01", "books_percent": "7", "shipping_percent": "19"}
    page = admin_client.post("/admin/shop/taxrate/add/", form)
    assert "Use the two letters of a country" in page.content.decode()
    assert admin_client.post("/admin/shop/taxrate/add/", {**form, "country": "DE"}).status_code == 302
    assert TaxRate.objects.get().country == "DE"


def test_a_coupon_is_made_and_changed(admin_client: Client) -> None:
    assert admin_client.post("/admin/orders/coupon/add/", {**COUPON, **WHEN}).status_code == 302
    coupon = Coupon.objects.get()
    assert (coupon.code, coupon.percent, coupon.minimum_minor, coupon.limit) == ("SPRING", 10, 2000, 5)
    wrong = {**COUPON, **WHEN, "code": "FIVE", "kind": "amount", "percent": "", "amount": "20"}
    page = admin_client.post("/admin/orders/coupon/add/", wrong)
    assert "It must be more than the amount, so that something is left to pay." in page.content.decode()
    assert admin_client.post("/admin/orders/coupon/add/", {**wrong, "minimum": "20.01"}).status_code == 302
    assert [entry.what for entry in AuditEntry.objects.all()] == ["coupon made"] * 2


@pytest.mark.parametrize("may_change", [True, False])
def test_the_pages_are_shown(client: Client, may_change: bool) -> None:
    names = ("coupon", "shippingmethod", "shippingrate", "taxrate")
    rights = [f"{right}_{name}" for name in names for right in (("view", "change") if may_change else ("view",))]
    clerk = User.objects.create_user("clerk", password="clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(clerk)
    rows = {"shippingmethod": a_method(prices={"DE": 490}), "taxrate": a_tax("DE", "7")}
    pages = [f"/admin/shop/{name}/{end}" for name, row in rows.items() for end in ("", f"{row.pk}/change/")]
    pages += ["/admin/orders/coupon/", f"/admin/orders/coupon/{a_coupon().pk}/change/"]
    for page in pages:
        assert client.get(page).status_code == 200, page
