"""R6: the receipt of a sale says who got what, anybody can check it offline, and one changed byte fails."""

import hashlib
import json
import struct
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.kafka_logs import put
from devtools.testing.shop.flash_sales import HOUR, a_sale, move
from devtools.testing.shop.storefront import a_book, api_order
from inventory.models import Stock
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.replaying import log_reader, offset_ranges
from orders.models import Order, new_id
from shop.flashsales.receipts import document, writing
from shop.models import FlashSale

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_world"), pytest.mark.rush]
OVER = -timedelta(minutes=125)


def buy(client: Client, book: Any, quantity: int, **changes: Any) -> str:
    """An order that goes its whole way; returns its id."""
    answer = client.post("/api/orders/", api_order(book, quantity, **changes), content_type="application/json")
    assert answer.status_code == 201, answer.content
    testing.MemoryBroker().drain()
    return str(answer.json()["order"])


@pytest.fixture
def sold(client: Client) -> tuple[FlashSale, str, str]:
    """A sale that is over: two orders won, one was declined, and one of another time; the winners' ids."""
    book = a_book(stock=30, price_minor=1000)
    sale = a_sale(book, units=5, price_minor=400, customer_limit=3)
    first = buy(client, book, 2, email="one@example.com")
    buy(client, book, 1, email="two@example.com", payment_method="pm_declined")
    second = buy(client, book, 1, email="three@example.com")
    move(sale, starts_in=OVER)
    buy(client, book, 1, email="four@example.com")
    # They were placed while it went on.
    Order.objects.filter(lines__sale_id=sale.pk).update(placed_at=sale.starts_at + HOUR)
    return sale, first, second


def written(sale: FlashSale, folder: Path) -> Path:
    """Its receipt, as the command writes it."""
    path = folder / "receipt.json"
    call_command("sale_receipt", str(sale.pk), "--output", str(path), "--without-log", stdout=StringIO())
    return path


def verdict(path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit code of `verify_receipt`, and what it says."""
    out, code = StringIO(), 0
    try:
        call_command("verify_receipt", str(path), "--json", *options, stdout=out)
    except SystemExit as ended:
        code = int(str(ended.code))
    said: dict[str, Any] = json.loads(out.getvalue())
    return code, said


def test_it_says_who_got_what_and_holds(sold: tuple[FlashSale, str, str], tmp_path: Path) -> None:
    sale, first, _ = sold
    path = written(sale, tmp_path)
    receipt = document.read(path.read_bytes())
    [book] = receipt.books
    assert (book.units, book.sold, book.left, book.price_minor) == (5, 3, 2, 400)
    assert [sum(line.quantity for line in winner.lines) for winner in receipt.winners] == [2, 1]
    assert (receipt.sums.revenue_minor, receipt.sums.cancelled) == (1200, {"payment failed": 1})
    code, said = verdict(path, "--order", first, "--key", receipt.key)
    assert (code, said["problems"], said["order_has_won"]) == (0, [], True)
    assert verdict(path, "--order", str(new_id()))[1]["order_has_won"] is False
    assert "example.com" not in path.read_text()
    assert first not in path.read_text()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_changed_byte_fails(sold: tuple[FlashSale, str, str], tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "receipt.json"
    content = path.read_bytes() if path.exists() else written(sold[0], tmp_path).read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda found: found != content[place]))
    changed = content[:place] + bytes([byte]) + content[place + 1 :]
    with pytest.raises(document.BadReceipt):
        document.read(changed)
    with pytest.raises(document.BadReceipt):
        document.read(content[:place])


def test_the_signature_of_another_is_told_from_the_shops(
    sold: tuple[FlashSale, str, str], tmp_path: Path, settings: Any
) -> None:
    path = written(sold[0], tmp_path)
    settings.SECRET_KEY = "another shop's, which is just as long as it has to be for that"
    out = StringIO()
    call_command("sale_receipt", "--show-key", stdout=out)
    code, said = verdict(path, "--key", out.getvalue().strip())
    assert (code, len(said["problems"])) == (1, 1)
    assert "not with the key given" in said["problems"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"books": [("sold", 5), ("left", 0)]}, "5 were sold, and the winners have 3"),
        ({"books": [("units", 2)]}, "are not the 2 set aside"),
        ({"customer_limit": 1}, "has 2 copies of"),
        ({"winners": [("placed_at", "before")]}, "was not placed during the sale"),
        ({"winners": "twice"}, "an order stands on it twice"),
        ({"sums": [("revenue_minor", 1)]}, "the sum of the revenue in minor units is 1200, not 1"),
    ],
)
def test_a_signed_receipt_that_contradicts_itself_does_not_hold(
    sold: tuple[FlashSale, str, str], change: dict[str, Any], words: str
) -> None:
    receipt = writing.draw_up(sold[0], with_log=False)
    for name, wanted in change.items():
        value = getattr(receipt, name)
        if wanted == "twice":
            value = [*value, value[0]]
        elif isinstance(wanted, list):
            fields = {key: receipt.starts_at - HOUR if new == "before" else new for key, new in wanted}
            replaced = msgspec.structs.replace(value[0] if isinstance(value, list) else value, **fields)
            value = [replaced, *value[1:]] if isinstance(value, list) else replaced
        else:
            value = wanted
        receipt = msgspec.structs.replace(receipt, **{name: value})
    signed = document.sign(receipt, document.shop_key())
    assert any(words in problem for problem in document.contradictions(document.read(signed)))


def test_it_is_refused_until_the_sale_is_over_and_every_order_decided(client: Client) -> None:
    book = a_book(stock=30)
    sale = a_sale(book, units=5)
    answer = client.post("/api/orders/", api_order(book), content_type="application/json")
    assert answer.status_code == 201
    with pytest.raises(writing.NotYet, match="The sale takes its last orders at"):
        writing.draw_up(sale, with_log=False)
    move(sale, starts_in=OVER)
    with pytest.raises(writing.NotYet, match="1 orders of the sale are neither confirmed nor cancelled"):
        writing.draw_up(sale, with_log=False)
    testing.MemoryBroker().drain()
    Stock.objects.filter(sale_id=sale.pk).update(sold=0)
    with pytest.raises(writing.NotYet, match="orders have 1 copies of the sale, and inventory sold 0"):
        writing.draw_up(sale, with_log=False)


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("sale_receipt", ["4711"], "Say which sale: there was none yet"),
        ("verify_receipt", ["/nowhere/receipt.json"], "cannot be read"),
    ],
)
def test_options_that_make_no_sense_are_refused(command: str, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words) as refusal:
        call_command(command, *arguments, stdout=StringIO())
    assert refusal.value.returncode == 2


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_the_hash_of_the_log_is_that_of_its_bytes() -> None:
    """Anybody who has the messages can work it out: offset, key, value."""
    put(created(new_id()), created(new_id()))
    group = registry.find(writing._READER)
    ranges = offset_ranges.plan_ranges(group, writing.TOPIC, "beginning", "end")
    [part] = writing.digest_ranges(ranges)
    assert (part.topic, part.partition, part.first, part.end) == ("orders.events", 0, 0, 2)
    expected = hashlib.sha256()
    for offset, (key, value) in enumerate(raw(ranges)):
        expected.update(struct.pack(">qq", offset, len(key)) + key + struct.pack(">q", len(value)) + value)
    assert part.sha256 == expected.hexdigest()


def raw(ranges: list[offset_ranges.OffsetRange]) -> list[tuple[bytes, bytes]]:
    """Keys and values, as the broker has them."""
    batches = log_reader.read_messages(ranges)
    return [(message.key() or b"", message.value() or b"") for batch in batches for message in batch]
