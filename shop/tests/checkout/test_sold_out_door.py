"""R2: orders of a book that is sold out are refused without Django, and nobody is wronged by it."""

import asyncio
import json
import uuid
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.db import OperationalError

from devtools.testing.processes import Shop
from devtools.testing.shop.buyers import CONTACT
from shop.checkout.sold_out_door import SoldOutDoor
from shop.site import shared_answers

pytestmark = [pytest.mark.rush, pytest.mark.kafka, pytest.mark.slow]
STOCK = """
from django.db import transaction
from inventory import stock_adjustments
from inventory.models import Stock
with transaction.atomic():
    free = Stock.objects.get(bin="{sku}").free
    stock_adjustments.{act}
"""
EMPTY = 'correct(sku="{sku}", change=-free, reason="test", by="test")'
BACK = 'receive(quantities={{"{sku}": 1}}, reason="test")'


@pytest.fixture
def sku(running_shop: Shop) -> str:
    """A book of which there are some copies."""
    rows = running_shop.query(
        "SELECT isbn FROM shop_book JOIN inventory_stock ON bin = isbn WHERE is_listed AND sale_id IS NULL "
        "AND received - held - sold > 2 ORDER BY received - held - sold, isbn LIMIT 1"
    )
    return str(rows[0][0])


def adjust(shop: Shop, act: str, sku: str) -> None:
    """Take all copies away, or bring one back."""
    shop.manage("shell", "--no-imports", "-c", STOCK.format(sku=sku, act=act.format(sku=sku)))


def body(sku: str, key: uuid.UUID, **changes: Any) -> dict[str, Any]:
    """An order of one copy."""
    line = {"sku": sku, "quantity": 1}
    return CONTACT | {"idempotency_key": str(key), "lines": [line], "payment_method": "pm_success"} | changes


def test_the_door_says_what_django_says_and_opens_again(running_shop: Shop, sku: str) -> None:
    mine = uuid.uuid4()
    with httpx.Client(base_url=running_shop.url, timeout=60) as http:
        placed = http.post("/api/orders/", json=body(sku, mine))
        assert placed.status_code == 201
        adjust(running_shop, EMPTY, sku)

        def ask(_: int) -> tuple[int, str]:
            answer = http.post("/api/orders/", json=body(sku, uuid.uuid4()))
            return answer.status_code, answer.text

        running_shop.wait_until(lambda: ask(0)[0] == 422, what="it is known to be sold out")
        with ThreadPoolExecutor(8) as pool:
            answers = set(pool.map(ask, range(200)))
        assert len(answers) == 1, "whoever answers, the words are the same"
        [(status, words)] = answers
        assert (status, json.loads(words)["error"]["code"]) == (422, "sold_out")

        again = http.post("/api/orders/", json=body(sku, mine))
        assert (again.status_code, again.json()["order"]) == (200, placed.json()["order"]), "who has one keeps it"
        assert "X-Is-Shared" not in again.headers
        wrong = http.post("/api/orders/", json=body(sku, uuid.uuid4(), lines=[]))
        assert wrong.status_code == 422
        assert wrong.json()["error"]["code"] == "invalid"

        adjust(running_shop, BACK, sku)
        running_shop.wait_until(lambda: ask(0)[0] == 201, what="the copy that came back is sold")


# -- The door alone -------------------------------------------------------------------------------------------
SKU = "9780000000002"


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is young for as long as these take."""
    monkeypatch.setattr(shared_answers, "ANSWER_SECONDS", 600.0)


patient = pytest.mark.usefixtures("_patient")
POST = SimpleNamespace(method="POST", path="/api/orders/", headers={"content-type": "application/json"})


def sent(key: uuid.UUID | None = None, **changes: Any) -> bytes:
    """The bytes of an order."""
    return json.dumps(body(SKU, key or uuid.uuid4(), **changes)).encode()


def opened(door: SoldOutDoor, *, status: int = 422, is_shared: bool = True) -> list[shared_answers.Header]:
    """Django has answered such an order; the headers that went out."""
    headers = [("content-type", "application/problem+json"), *([shared_answers.MARK] if is_shared else [])]
    door.keep(POST, sent(), status, headers, b"sold out")
    return headers


def refusals(door: SoldOutDoor, *bodies: bytes, scope: Any = POST) -> list[bytes | None]:
    """What the door says to these, asked all at once."""

    async def ask() -> list[bytes | None]:
        found = await asyncio.gather(*(door.refusal(scope, each) for each in bodies))
        return [answer.body if answer else None for answer in found]

    return asyncio.run(ask())


@patient
def test_the_same_lines_get_the_same_answer_and_keys_are_asked_about_together() -> None:
    asked: list[int] = []
    mine = uuid.uuid4()

    def placed(keys: Collection[uuid.UUID]) -> set[uuid.UUID]:
        asked.append(len(keys))
        return {mine}

    door = SoldOutDoor(placed)
    assert refusals(door, sent()) == [None], "nothing is known yet"
    assert shared_answers.MARK not in opened(door)
    assert refusals(door, *(sent() for _ in range(50)), sent(mine)) == [b"sold out"] * 50 + [None]
    assert len(asked) <= 2, asked


@patient
@pytest.mark.parametrize(
    "other",
    [
        sent(lines=[{"sku": SKU, "quantity": 2}]),
        sent(lines=[{"sku": SKU, "quantity": 1, "expected_price_minor": 5}]),
        sent(lines=[{"sku": SKU, "quantity": 1}, {"sku": "9780000000019", "quantity": 1}]),
        sent(lines=[]),
        sent(surplus=1),
        b"[]",
        b"\xff",
    ],
)
def test_whatever_is_not_the_same_is_djangos(other: bytes) -> None:
    door = SoldOutDoor(lambda keys: set())
    opened(door)
    assert refusals(door, other) == [None]
    for scope in (
        SimpleNamespace(**vars(POST) | {"method": "GET"}),
        SimpleNamespace(**vars(POST) | {"path": "/checkout/"}),
        SimpleNamespace(**vars(POST) | {"headers": {"content-type": "text/plain"}}),
    ):
        assert refusals(door, sent(), scope=scope) == [None]


@patient
def test_what_django_said_of_one_order_alone_is_not_said_to_others() -> None:
    door = SoldOutDoor(lambda keys: set())
    opened(door, is_shared=False)
    opened(door, status=201)
    assert refusals(door, sent()) == [None]


@patient
@pytest.mark.parametrize("error", [OperationalError("away"), RuntimeError("whatever")], ids=repr)
def test_without_an_answer_of_postgresql_django_says_so(error: Exception) -> None:
    def placed(keys: Collection[uuid.UUID]) -> set[uuid.UUID]:
        raise error

    door = SoldOutDoor(placed)
    opened(door)
    assert refusals(door, sent(), sent()) == [None, None]


def test_the_answer_is_forgotten_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    door = SoldOutDoor(lambda keys: set())
    opened(door)
    monkeypatch.setattr(shared_answers, "ANSWER_SECONDS", 0.0)
    assert refusals(door, sent()) == [None]
