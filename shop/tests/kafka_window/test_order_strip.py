"""An order's way through Kafka on its page: in a demo and for operators, and the way to the window."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from devtools.testing.shop import shop_at_rest
from orders import links
from shop.operations.pages import passes

pytestmark = [pytest.mark.window, pytest.mark.django_db(transaction=True)]


def page_of(shop: shop_at_rest.Shop, client: Client | None = None) -> str:
    """The order's page, by its link."""
    response = (client or Client()).get(f"/orders/{shop.kept}/?key={links.key_for(shop.kept)}")
    return response.content.decode()


@pytest.fixture
def operator() -> Client:
    """Who may look at operations, signed in."""
    user = User.objects.create_user("olga", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_operations", "view_order"]))
    client = Client()
    client.force_login(user)
    return client


def test_buyers_do_not_see_it(shop: shop_at_rest.Shop, settings: Any) -> None:
    settings.SHOW_DEMO_HINTS = False
    assert "Follow it through Kafka" not in page_of(shop)


def test_in_a_demo_everybody_does(shop: shop_at_rest.Shop, settings: Any) -> None:
    settings.SHOW_DEMO_HINTS, settings.LIVE_PORT = True, 8001
    html = page_of(shop)
    assert f'href="http://testserver:8001/kafka/?order={shop.kept}"' in html
    assert "inventory.reserved" in html


def test_operators_get_a_pass_on_the_way(shop: shop_at_rest.Shop, operator: Client, settings: Any) -> None:
    settings.SHOW_DEMO_HINTS, settings.LIVE_PORT = False, 0
    address = f"/admin/operations/kafka/?order={shop.kept}"
    assert f'href="{address}"' in page_of(shop, operator)
    response = operator.get(address)
    assert response["Location"] == f"/kafka/?order={shop.kept}"
    cookie = response.cookies[passes.WINDOW_COOKIE]
    assert (cookie["path"], passes.read(cookie.value) is not None) == ("/kafka/", True)


def test_without_the_permission_there_is_no_way(settings: Any) -> None:
    client = Client()
    client.force_login(User.objects.create_user("sam", is_staff=True))
    assert client.get("/admin/operations/kafka/").status_code == 403
