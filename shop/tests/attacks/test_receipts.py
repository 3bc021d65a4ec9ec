"""Receipts that strangers have made up and signed themselves: each gets a verdict, and no terminal obeys one."""

import base64
import json
import random
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command

from devtools.testing.shop import strange_words
from shop.flashsales.receipts import document

pytestmark = pytest.mark.security
TIMES = (
    "2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-02-30",
    "", 0,
)  # fmt: skip
COUNTS: tuple[Any, ...] = (0, 1, -1, 2**53, 2**53 + 1, 10**40, 1.5, "1", None, [], True)


def made_up(chance: random.Random) -> dict[str, Any]:
    """A receipt in form, with a few senseless values."""

    def count() -> Any:
        return chance.choice(COUNTS) if chance.random() < 0.1 else chance.randint(0, 3)

    def time() -> Any:
        return chance.choice(TIMES) if chance.random() < 0.2 else TIMES[0]

    def word() -> str:
        return strange_words.word(chance).encode(errors="replace").decode()

    line = {"sku": word(), "quantity": count(), "price_minor": count()}
    winner = {"order": "0" * 32, "customer": "f" * 32, "placed_at": time(), "confirmed_at": time(), "lines": [line]}
    book = {"sku": line["sku"], "title": word(), "price_minor": 1, "units": count(), "sold": count(), "left": count()}
    sums = {name: count() for name in ("units", "sold", "left", "winners", "revenue_minor")}
    return {
        "form": 1, "shop": word(), "sale": count(), "name": f"\x1b[2J{word()}", "starts_at": time(), "ends_at": time(),
        "customer_limit": chance.choice((None, count())), "currency": word(), "written_at": time(), "salt": word(),
        "books": [book] * chance.randint(0, 2), "winners": [winner] * chance.randint(0, 2),
        "sums": {**sums, "cancelled": {word(): count()}}, "log": [],
    }  # fmt: skip


def signed(receipt: dict[str, Any], key: Ed25519PrivateKey) -> bytes:
    """By the stranger's own key, as the shop would have written it; unsigned where that has no form."""
    receipt["key"] = document.public_part(key)
    try:
        return document.sign(msgspec.convert(receipt, document.Receipt, strict=True), key)
    except msgspec.ValidationError:
        return json.dumps({"receipt": receipt, "signature": base64.b64encode(b"x" * 64).decode()}).encode()


@pytest.mark.parametrize("inputs", [60, pytest.param(1_000, marks=pytest.mark.prove)])
def test_every_receipt_gets_a_verdict(inputs: int, tmp_path: Path) -> None:
    chance, key, path = random.Random(23), Ed25519PrivateKey.generate(), tmp_path / "receipt.json"  # noqa: S311
    verdicts = {0: 0, 1: 0}
    for _ in range(inputs):
        path.write_bytes(signed(made_up(chance), key))
        out, code = StringIO(), 0
        try:
            call_command("verify_receipt", str(path), stdout=out)
        except SystemExit as ended:
            code = int(str(ended.code))
        verdicts[code] += 1
        assert out.getvalue().replace("\n", "").isprintable()
        assert ("does not hold" in out.getvalue()) == bool(code)
    assert verdicts[1] > inputs / 2
