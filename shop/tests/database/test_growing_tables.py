"""XC8: every table has a plan for when it is large: pruned, bounded by something, or kept for ever."""

import pytest
from django.db import connection

from kafka_bridge.runtime import housekeeping

pytestmark = [pytest.mark.django_db, pytest.mark.security]
GOES_WITH = {
    "kafka_bridge_deadletteract": "kafka_bridge_deadletter",
    "shop_auditrun": "what `shop/jobs.py` deletes after each audit",
}
KEPT_FOR_EVER = {
    "orders_order", "orders_orderline", "orders_trailentry", "orders_shipment", "orders_returnrequest",
    "orders_ordermail", "orders_withdrawal", "orders_couponuse",
    "payments_charge", "payments_chargeentry", "payments_refund", "payments_review",
    "inventory_hold", "inventory_reservation", "shop_flashsale", "shop_flashsalebook",
    "shop_dailysales", "shop_booksales",
}  # fmt: skip
"""The company's books: they grow with sales."""
BOUNDED = {
    "shop_book": "books", "shop_booksearch": "books", "shop_bookdue": "books", "shop_bookprice": "books",
    "shop_category": "books", "shop_bookkind": "kinds of books, made one row each every few seconds",
    "shop_searchword": "words of books", "inventory_stock": "books, sales and kept copies",
    "shop_shoppage": "code", "orders_coupon": "what staff do", "shop_waitingroom": "sales",
    "shop_shippingmethod": "what staff do", "shop_shippingrate": "countries", "shop_taxrate": "countries and years",
    "auth_user": "accounts", "shop_accountname": "accounts", "shop_cartline": "accounts",
    "account_emailaddress": "accounts", "account_emailconfirmation": "nothing: confirmations are signed links",
    "shop_savedaddress": "accounts, some for each", "shop_accountmail": "what is not sent yet",
    "auth_user_groups": "accounts", "auth_user_user_permissions": "accounts",
    "auth_group": "code and staff", "auth_group_permissions": "code and staff", "auth_permission": "code",
    "django_content_type": "code", "django_migrations": "code",
    "django_admin_log": "what staff do", "kafka_bridge_groupcontrol": "what operators do",
    "inventory_poolturn": "what the timekeeper takes every second",
    "shop_alertevaluation": "one row", "shop_auditprogress": "one row a part of the audit",
}  # fmt: skip
"""By what."""


def test_every_table_has_a_plan() -> None:
    pruned = {policy.table for policy in housekeeping.policies()}
    plans = [pruned, set(GOES_WITH), KEPT_FOR_EVER, set(BOUNDED)]
    known = set().union(*plans)
    assert sum(map(len, plans)) == len(known), "one plan each"
    assert set(connection.introspection.table_names()) == known
