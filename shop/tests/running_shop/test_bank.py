"""The running shop and the sandbox's bank, each a process of its own: calls one way, webhooks the other."""

import httpx
import pytest

from devtools.testing.processes import Shop
from devtools.testing.shop.buyers import Buyers
from payments.sandbox.bank import Bank

pytestmark = [pytest.mark.money, pytest.mark.kafka, pytest.mark.slow]
RECEIVE = """
from django.db import transaction
from inventory import stock_adjustments
with transaction.atomic():
    stock_adjustments.receive(quantities={{"{sku}": 500}}, reason="test")
"""


@pytest.fixture
def buyers(running_shop: Shop) -> Buyers:
    """Buyers of one book of which there is plenty."""
    [(sku,)] = running_shop.query("SELECT isbn FROM shop_book WHERE is_listed ORDER BY isbn LIMIT 1")
    running_shop.manage("shell", "--no-imports", "-c", RECEIVE.format(sku=sku))
    running_shop.restart("web")  # whose snapshot of the shelves may be a second old
    return Buyers(running_shop, str(sku))


def pages(buyers: Buyers) -> list[str]:
    """Where the banks of the waiting buyers ask them."""
    rows = buyers.shop.query(
        "SELECT action_url FROM payments_charge WHERE order_id = ANY(%s::uuid[]) AND state = 'action_required'",
        buyers.placed,
    )
    return [url for (url,) in rows]


@pytest.mark.parametrize(("answer", "end"), [("confirm", "DELIVERED"), ("refuse", "CANCELLED")])
def test_the_bank_asks_the_buyer_and_tells_the_shop(buyers: Buyers, answer: str, end: str) -> None:
    shop = buyers.shop
    buyers.order(3, card="pm_3ds")
    shop.wait_until(lambda: len(pages(buyers)) == 3, what="three questions")
    for page in pages(buyers):
        assert page.startswith(f"{shop.gateway_url}/challenges/")
        back = httpx.post(page, data={"answer": answer})
        order = back.headers["Location"].removeprefix(f"{shop.url}/orders/").rstrip("/")
        assert (back.status_code, order in buyers.placed) == (303, True)
    buyers.wait_for(end)
    told = shop.query(
        "SELECT kind, count(*) FROM payments_gatewaynotice n JOIN payments_charge c ON c.id = n.charge_id "
        "WHERE c.order_id = ANY(%s::uuid[]) GROUP BY kind",
        buyers.placed,
    )
    assert told == [(f"payment.{'authorized' if answer == 'confirm' else 'declined'}", 3)]


@pytest.mark.prove
def test_the_bank_killed_in_the_middle_charges_nobody_twice(buyers: Buyers) -> None:
    """Answers get lost, the bank dies and comes back, and each order is captured once."""
    shop = buyers.shop
    for card in ("pm_success", "pm_charges_then_times_out", "pm_times_out_before"):
        buyers.order(20, card=card)
        shop.kill("gateway")
        buyers.order(5, card=card)
        shop.start("gateway")
    buyers.wait_for("DELIVERED", timeout_seconds=120)
    charges = {
        str(key): amount
        for key, amount in shop.query(
            "SELECT id, amount_minor FROM payments_charge WHERE order_id = ANY(%s::uuid[])", buyers.placed
        )
    }
    bank = Bank(shop.ledger_path)
    taken = [(p.key, p.captured_minor - p.refunded_minor) for p in bank.statement() if p.key in charges]
    captures = [entry.transaction_id for entry in bank.entries() if entry.kind == "capture" and not entry.declined]
    bank.close()
    assert dict(taken) == charges
    assert len(taken) == 75
    assert len(captures) == len(set(captures))


def test_during_an_outage_orders_wait_and_go_on_afterwards(buyers: Buyers) -> None:
    shop = buyers.shop
    httpx.post(f"{shop.gateway_url}/v1/control/outage", json={"seconds": 60, "mode": "refuse"})
    buyers.order(40)
    shop.wait_until(lambda: _waiting(buyers) == 40, what="40 charges whose outcome is unknown or that wait")
    assert buyers.statuses() == {"PENDING": 40}
    httpx.post(f"{shop.gateway_url}/v1/control/outage", json={"seconds": 0})
    buyers.wait_for("DELIVERED", timeout_seconds=120)


def _waiting(buyers: Buyers) -> int:
    [(count,)] = buyers.shop.query(
        "SELECT count(*) FROM payments_charge WHERE order_id = ANY(%s::uuid[]) AND state = 'requested'", buyers.placed
    )
    return int(count)
