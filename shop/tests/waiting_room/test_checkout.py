"""R3: the page, the JSON form and the checkout: who is admitted may order once, and nobody else."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_redis import get_redis_connection

from devtools.local.redis import Redis
from devtools.testing.shop.flash_sales import a_sale, move
from devtools.testing.shop.storefront import a_book, api_order, checkout_form, put_in_cart
from kafka_bridge import testing
from orders.models import Order
from shop.models import AuditEntry, Book, FlashSale, WaitingRoom
from shop.waiting_room import admission, rooms, scripts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_world"), pytest.mark.rush]


def a_queue(book: Book, *, mode: str = "on", starts_in: timedelta = -timedelta(minutes=1), **fields: Any) -> FlashSale:
    """A sale with a waiting room; it is running, unless said otherwise."""
    sale = a_sale(book, waiting_room=mode, starts_in=starts_in, **fields)
    rooms.open_room(sale)
    return sale


def turn(sale: FlashSale) -> None:
    """Work the queue now."""
    rooms.forget()
    room = rooms.find(sale.pk)
    assert room is not None
    admission.take_turn(room)
    admission.forget()


def ask(client: Client, sale: FlashSale) -> Any:
    """A place, or the one there is."""
    return client.post(f"/api/sales/{sale.pk}/place/").json()


def state(client: Client, sale: FlashSale) -> str:
    """How one's place stands."""
    admission.forget()
    return str(client.get(f"/api/sales/{sale.pk}/place/").json()["state"])


def order(client: Client, book: Book, token: str = "", **changes: Any) -> Any:
    """An order by JSON, with a place."""
    headers = {"Waiting-Place": token} if token else {}
    body = api_order(book, **changes)
    return client.post("/api/orders/", body, content_type="application/json", headers=headers)


def test_only_who_is_admitted_may_order_and_once(client: Client) -> None:
    book = a_book(stock=20)
    sale = a_queue(book, units=1)
    refused = order(client, book)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "not_admitted")
    assert refused.json()["error"]["waiting_room_url"] == f"/sales/{sale.pk}/queue/"
    first, second = (ask(Client(), sale) for _ in range(2))
    turn(sale)
    assert order(Client(), book, second["token"]).status_code == 422
    key = str(uuid.uuid4())
    placed = order(Client(), book, first["token"], idempotency_key=key)
    assert placed.status_code == 201
    again = order(Client(), book, first["token"], idempotency_key=key)
    assert (again.status_code, again.json()["order"]) == (200, placed.json()["order"])
    assert order(Client(), book, first["token"]).status_code == 422, "one place is for one order"
    turn(sale)
    with_place = Client(headers={"Waiting-Place": first["token"]})
    assert state(with_place, sale) == "buying"
    testing.MemoryBroker().drain()
    turn(sale)
    assert state(with_place, sale) == "bought"
    assert Order.objects.count() == 1


def test_a_declined_card_admits_the_next_and_the_last_copy_tells_all_others(client: Client) -> None:
    book = a_book(stock=20)
    sale = a_queue(book, units=1)
    visitors = [Client() for _ in range(3)]
    for visitor in visitors:
        ask(visitor, sale)
    turn(sale)
    assert [state(visitor, sale) for visitor in visitors] == ["admitted", "waiting", "waiting"]
    assert order(visitors[0], book, payment_method="pm_declined").status_code == 201
    testing.MemoryBroker().drain()
    turn(sale)
    assert [state(visitor, sale) for visitor in visitors] == ["failed", "admitted", "waiting"]
    assert order(visitors[1], book).status_code == 201
    testing.MemoryBroker().drain()
    turn(sale)
    assert [state(visitor, sale) for visitor in visitors] == ["failed", "bought", "told"]
    assert visitors[2].post(f"/api/sales/{sale.pk}/place/").json()["state"] == "told"
    assert client.post(f"/api/sales/{sale.pk}/place/").status_code == 409


def test_the_page_needs_no_script_and_leads_from_the_checkout_to_the_order(client: Client) -> None:
    book = a_book(stock=20)
    sale = a_queue(book, units=2)
    url = f"/sales/{sale.pk}/queue/"
    put_in_cart(client, book)
    refused = client.post("/checkout/", checkout_form(client))
    assert refused.status_code == 403
    assert f'href="{url}"' in refused.content.decode()
    page = client.get(url).content.decode()
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "Ask for a place" in page
    assert client.post(url).status_code == 302
    turn(sale)
    page = client.get(url).content.decode()
    assert "It is your turn" in page
    assert book.title in page
    assert client.post("/checkout/", checkout_form(client)).status_code == 302
    assert Order.objects.count() == 1
    link = re.search(r"\?place=([^\"]+)", page)
    assert link is not None
    other = Client()
    assert other.get(f"{url}?place={link[1]}").status_code == 302
    assert state(other, sale) == "buying", "the place came along"


def test_a_place_is_asked_for_in_time_and_by_ourselves(client: Client) -> None:
    book = a_book(stock=20)
    sale = a_queue(book, starts_in=timedelta(hours=2))
    url = f"/api/sales/{sale.pk}/place/"
    assert client.post(url).json()["error"]["code"] == "no_places"
    assert client.post(url, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.put(url).status_code == 405
    assert client.get("/api/sales/999/place/").status_code == 404
    assert client.get("/sales/999/queue/").status_code == 404
    move(sale, starts_in=timedelta(minutes=10))
    rooms.forget()
    admission.forget()
    place = ask(client, sale)
    assert (place["state"], place["ahead"]) == ("before", None)
    forged = place["token"].replace(place["place"], "0" * 32)
    assert Client(headers={"Waiting-Place": forged}).get(url).json()["state"] == "none"


def test_an_account_has_one_place_in_all_its_browsers() -> None:
    sale = a_queue(a_book(stock=20))
    user = User.objects.create_user("ada")
    browsers = [Client(), Client()]
    for browser in browsers:
        browser.force_login(user)
    assert len({ask(browser, sale)["place"] for browser in browsers}) == 1


def test_without_a_waiting_room_nothing_is_asked(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody_asks(*args: object) -> None:
        raise AssertionError("a sale without a waiting room pays for none")

    monkeypatch.setattr(rooms, "find", nobody_asks)
    book = a_book(stock=20)
    a_sale(book)
    assert order(client, book).status_code == 201


def test_by_itself_it_asks_for_places_only_where_too_few_copies_are(client: Client) -> None:
    book = a_book(stock=20)
    sale = a_queue(book, mode="auto", units=2)
    assert ask(client, sale)["state"] == "free"
    turn(sale)
    assert order(Client(), book, quantity=1).status_code == 201
    testing.MemoryBroker().drain()
    ask(Client(), sale)
    turn(sale)
    assert state(client, sale) == "admitted"
    assert order(Client(), book).json()["error"]["code"] == "not_admitted"
    assert order(client, book).status_code == 201


def test_redis_killed_in_mid_queue(redis_server: Redis, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody loses a place; who was admitted holds that in writing, and may order meanwhile."""
    monkeypatch.setattr(scripts, "MEND_SECONDS", 3600)
    book = a_book(stock=20)
    sale = a_queue(book, units=1)
    everyone = [Client() for _ in range(4)]
    places = [ask(visitor, sale)["place"] for visitor in everyone]
    turn(sale)
    assert [state(visitor, sale) for visitor in everyone] == ["admitted", *["waiting"] * 3]
    redis_server.kill()
    url = f"/sales/{sale.pk}/queue/"
    admission.forget()
    away = everyone[1].get(url)
    assert (away.status_code, "Your place is kept" in away.content.decode()) == (503, True)
    assert order(everyone[1], book).json()["error"]["code"] == "not_admitted"
    assert order(everyone[0], book).status_code == 201
    redis_server.start()
    admission.forget()
    found = []
    for visitor in reversed(everyone):
        admission.forget()
        found.append(visitor.get(f"/api/sales/{sale.pk}/place/").json())
    assert [each["place"] for each in reversed(found)] == places
    assert found[-1]["phase"] == "mending"
    ahead = [visitor.get(f"/api/sales/{sale.pk}/place/").json()["ahead"] for visitor in everyone]
    assert ahead == [None, 0, 1, 2]


def test_staff_see_the_queue_and_pause_it_with_a_reason(client: Client) -> None:
    book = a_book(stock=20)
    sale = a_queue(book, units=1)
    visitor = Client()
    desk = f"/admin/queue/{sale.pk}/"
    assert client.get(desk).status_code == 302
    client.force_login(User.objects.create_superuser("boss"))
    assert "required" in client.post(desk, {"reason": ""}).content.decode()
    assert client.post(desk, {"reason": "wrong price"}).status_code == 302
    ask(visitor, sale)
    turn(sale)
    page = client.get(desk).content.decode()
    assert re.search(r'data-figure="Waiting">1<', page)
    assert "wrong price" in page
    assert state(visitor, sale) == "waiting"
    assert client.post(desk, {"reason": "price is right now"}).status_code == 302
    turn(sale)
    assert state(visitor, sale) == "admitted"
    assert list(AuditEntry.objects.order_by("pk").values_list("what", "reason")) == [
        ("queue paused", "wrong price"),
        ("queue resumed", "price is right now"),
    ]
    assert WaitingRoom.objects.get(pk=sale.pk).paused_at is None
    assert "See the queue" in client.get("/admin/shop/flashsale/").content.decode()


def test_who_does_not_order_in_time_gives_the_chance_back() -> None:
    sale = a_queue(a_book(stock=20), units=1)
    first, second = Client(), Client()
    place = ask(first, sale)["place"]
    ask(second, sale)
    turn(sale)
    assert [state(first, sale), state(second, sale)] == ["admitted", "waiting"]
    get_redis_connection("default").zadd(scripts.keys_of(sale.pk)[2], {place: 1})  # the time is over
    turn(sale)
    assert [state(first, sale), state(second, sale)] == ["passed", "admitted"]
    assert scripts.read(sale.pk)[0]["passed"] == "1"
    assert ask(first, sale)["state"] == "waiting", "behind those who wait now"
