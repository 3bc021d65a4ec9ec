"""The table of addresses against the routers, docs/security.md, and what each visitor is answered."""

import io
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern

from devtools.demo_pages import urls as demo_urls
from devtools.testing.shop.flash_sales import a_sale
from devtools.testing.shop.storefront import a_book, api_order
from orders import links
from orders.models import Order
from payments.sandbox import server as bank_server
from shop import urls
from shop.live import http, sockets
from shop.site import addresses
from shop.site.addresses import ADDRESSES, Address, Server, Who
from shop.waiting_room import rooms

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security]
DOCUMENT = Path(settings.BASE_DIR) / "docs" / "security.md"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
WEB = [address for address in ADDRESSES if address.server is Server.WEB]


def paths_of(server: Server) -> set[str]:
    return {address.path for address in ADDRESSES if address.server is server}


def test_every_url_is_in_the_table_and_the_other_way_round() -> None:
    routes = {(f"/{url.pattern}", url.name or "") for url in urls.urlpatterns if isinstance(url, URLPattern)}
    assert routes == {(address.path, address.name) for address in WEB if not address.path.startswith("/admin/")}


def test_every_url_of_a_demo_is_in_the_table_and_the_other_way_round() -> None:
    routes = {f"/kafka/{pattern.pattern}" for pattern in demo_urls.urlpatterns}
    assert routes == paths_of(Server.DEMO)


def test_every_socket_is_in_the_table_and_the_other_way_round() -> None:
    # The last route, for everything else, only refuses.
    routes = {f"/{route.pattern}" for route in sockets.urlpatterns if str(route.pattern)}
    assert routes | set(http.PATHS) | set(http.OPS_PATHS) | set(http.KAFKA_PATHS) == paths_of(Server.LIVE)


def test_every_address_of_the_bank_is_in_the_table_and_the_other_way_round() -> None:
    routes: dict[str, set[str]] = {}
    for rule in bank_server.ROUTES.iter_rules():
        routes.setdefault(rule.rule, set()).update(rule.methods or ())
    assert routes == {a.path: set(a.methods) for a in ADDRESSES if a.server is Server.BANK}


def test_the_table_in_the_document_is_the_generated_one() -> None:
    """Write it anew with `manage.py show_addresses --markdown`."""
    found = re.search(r"^\| server \|.*?\n(?!\|)", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert found and found[0] == addresses.as_markdown()


@pytest.mark.parametrize("form", ["", "--markdown", "--json"])
def test_the_command_prints_each_address(form: str) -> None:
    out = io.StringIO()
    call_command("show_addresses", *([form] if form else []), stdout=out)
    assert "sandbox bank" in out.getvalue()
    if form == "--json":
        assert [row["path"] for row in json.loads(out.getvalue())] == [address.path for address in ADDRESSES]


class Shop:
    """An order of the account owner's, and its visitors."""

    def __init__(self) -> None:
        self.book = a_book(series="A Series")
        Client().post("/api/orders/", json.dumps(api_order(self.book)), content_type="application/json")
        self.order = Order.objects.get()
        self.sale = a_sale(a_book(), starts_in=timedelta(minutes=10), waiting_room="on")
        rooms.open_room(self.sale)
        self.accounts = {name: User.objects.create_user(name) for name in ("owner", "other", "staff", "watcher")}
        User.objects.filter(username__in=["staff", "watcher"]).update(is_staff=True)
        self.accounts["watcher"].user_permissions.add(Permission.objects.get(codename="view_order"))
        for name in ("staff", "watcher"):
            names = ["view_operations", "control_groups"]
            self.accounts[name].user_permissions.add(*Permission.objects.filter(codename__in=names))
        Order.objects.filter(pk=self.order.pk).update(user_id=self.accounts["owner"].pk)

    def status(self, visitor: str, address: Address, method: str) -> int | str:
        """The status, or "sign in" where the visitor is sent there; each call has a new session."""
        client = Client()
        if visitor in self.accounts:
            client.force_login(self.accounts[visitor])
        path = address.path.replace("<uuid:order_id>", str(self.order.pk)).replace("<isbn:isbn>", self.book.isbn)
        path = path.replace("<alnum:uidb36>", "1").replace("<int:entry_id>", "1").replace("<str:key>", "x-y")
        path = path.replace("<int:sale_id>", str(self.sale.pk))
        slugs = {
            "page": "imprint",
            "page_in": "imprint",
            "author": self.book.author_slug,
            "series": self.book.series_slug,
        }
        key = f"?key={links.key_for(self.order.pk)}" if visitor == "link" else ""
        response: Any = client.generic(
            method,
            path.replace("<slug:slug>", slugs.get(address.name, "x"))
            .replace("<slug:section>", "books")
            .replace("<slug:language>", "vi")
            + key,
            "{}",
        )
        signs_in = response.get("Location", "").startswith(("/sign-in/?", "/admin/login/?"))
        return "sign in" if signs_in else response.status_code


# Who is let in; of everybody else `REFUSED` says how they are refused.
VISITORS = {"anonymous", "other", "staff", "watcher", "owner", "link"}
ALLOWED = {
    Who.EVERYBODY: VISITORS,
    Who.ACCOUNT: {"other", "staff", "watcher", "owner"},
    Who.VIEWER: {"owner", "link", "watcher"},
    Who.BUYER: {"owner", "link"},
    Who.STAFF: {"staff", "watcher"},
    Who.GATEWAY: set[str](),
    Who.INVITED: set[str](),
    Who.SCRAPER: set[str](),
}
REFUSED = {
    Who.ACCOUNT: "sign in",
    Who.VIEWER: 404,
    Who.BUYER: 404,
    Who.STAFF: "sign in",
    Who.INVITED: 404,
    Who.GATEWAY: 400,
    Who.SCRAPER: 404,
}


def test_who_may_call_it_is_let_in_and_nobody_else() -> None:
    shop, wrong = Shop(), []
    for address in WEB:
        for visitor in sorted(VISITORS):
            status = shop.status(visitor, address, address.methods[0])
            if visitor in ALLOWED[address.who]:
                is_right = status not in (401, 403, 404, 405, "sign in")
            else:
                is_right = status == REFUSED[address.who]
            if not is_right:
                wrong.append((address.path, visitor, status))
    assert not wrong


def test_other_methods_are_refused() -> None:
    shop, wrong = Shop(), []
    for address in WEB:
        for method in METHODS if not address.path.startswith("/admin/") else ():
            visitor = "anonymous" if address.who is Who.EVERYBODY else "owner"
            status = shop.status(visitor, address, method)
            if (status == 405) != (method not in address.methods):
                wrong.append((address.path, method, status))
    assert not wrong
