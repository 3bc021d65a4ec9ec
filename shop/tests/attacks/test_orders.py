"""Bodies of orders that were damaged or made up: read in the loop of the web process, where nothing may raise."""

import json
import random
from typing import Any

import pytest

from devtools.testing.shop.storefront import CONTACT
from shop.checkout import api

pytestmark = pytest.mark.security
ORDER = json.dumps(
    {
        **CONTACT, "idempotency_key": "00000000-0000-4000-8000-000000000000", "payment_method": "pm_success",
        "lines": [{"sku": "9790000000001", "quantity": 1, "expected_price_minor": 1250}],
    }
).encode()  # fmt: skip
KINDS = ("application/json", "application/json; charset=utf-16", "application/json;", "text/plain", "\x00", "", None)


def damaged(chance: random.Random) -> bytes:
    """The order with some bytes changed, or with something deep, long or senseless in a place of it."""
    if chance.random() < 0.3:
        made: dict[str, Any] = json.loads(ORDER)
        made[chance.choice([*made])] = "@"
        strange = (
            "[" * 30_000,
            '{"a":' * 10_000,
            "9" * 5_000,
            "1e400",
            "NaN",
            '"\\ud800"',
            "[[]]",
            "null",
            "-0",
            '"\\u0000"',
        )
        return json.dumps(made).replace('"@"', chance.choice(strange)).encode()
    body = bytearray(ORDER)
    for _ in range(chance.randint(1, 4)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    return bytes(body)


@pytest.mark.parametrize("inputs", [500, pytest.param(20_000, marks=pytest.mark.prove)])
def test_no_body_of_an_order_is_more_than_none(inputs: int) -> None:
    chance = random.Random(24)  # noqa: S311 - the same inputs each time
    assert api.read("application/json", ORDER) is not None
    read = [api.read(chance.choice(KINDS), damaged(chance)) for _ in range(inputs)]
    assert None in read
