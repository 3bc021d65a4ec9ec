"""Some copies of an order are cancelled in the running shop: from the admin's form to the buyer's open page."""

import uuid
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from devtools.testing.processes import Shop
from devtools.testing.shop.buyers import CONTACT

pytestmark = [pytest.mark.browser, pytest.mark.kafka, pytest.mark.slow, pytest.mark.stock]
DEADLINE_MS = 30_000


def place(shop: Shop, sku: str, quantity: int) -> dict[str, Any]:
    """An order over HTTP; what the shop answered."""
    body = {
        **CONTACT,
        "idempotency_key": str(uuid.uuid4()),
        "lines": [{"sku": sku, "quantity": quantity}],
        "payment_method": "pm_success",
    }
    response = httpx.post(f"{shop.url}/api/orders/", json=body, timeout=15)
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_the_buyer_sees_copies_cancelled_and_their_money_back(browser: Browser, running_shop: Shop) -> None:
    shop = running_shop
    [(sku, title)] = shop.query(
        "SELECT isbn, title FROM shop_book JOIN inventory_stock ON bin = isbn WHERE is_listed "
        "AND received - held - sold >= 10 ORDER BY isbn DESC LIMIT 1"
    )
    [(sold,)] = shop.query("SELECT sold FROM inventory_stock WHERE bin = %s", sku)
    shop.stop("shipping")  # so that the parcel waits for us
    answer = place(shop, str(sku), 3)
    order_id = answer["order"]
    buyer = browser.new_context(base_url=shop.url).new_page()
    buyer.goto(str(answer["status_url"]).replace("/api", ""))
    expect(buyer.get_by_role("heading", name="Confirmed")).to_be_visible(timeout=DEADLINE_MS)
    expect(buyer.get_by_text("Live", exact=True)).to_be_visible(timeout=DEADLINE_MS)

    staff = browser.new_context(base_url=shop.url).new_page()
    staff.goto(f"/admin/login/?next=/admin/orders/order/{order_id}/change/")
    staff.locator("[name=username]").fill("admin")
    staff.locator("[name=password]").fill("admin")
    staff.get_by_role("button", name="Log in").click()
    staff.goto(f"/admin/orders/order/{order_id}/change/")
    staff.get_by_role("link", name="Cancel some copies…").click()
    staff.get_by_label(str(title)).fill("2")
    staff.get_by_label("Reason").fill("a page is missing")
    staff.get_by_role("button", name="Cancel these copies").click()
    expect(staff.get_by_text("2 copies of")).to_be_visible()

    # The buyer does nothing; the page notices.
    expect(buyer.locator(".step[data-code=reduced]")).to_be_visible(timeout=DEADLINE_MS)
    expect(buyer.locator(".step[data-code=part_refunded]")).to_have_attribute("data-state", "done", timeout=DEADLINE_MS)
    expect(buyer.locator(".receipt")).to_contain_text("2 cancelled")
    shop.start("shipping")
    expect(buyer.locator("[data-order]")).to_have_attribute("data-status", "DELIVERED", timeout=DEADLINE_MS)

    shop.wait_until(
        lambda: shop.query("SELECT sold - %s, held FROM inventory_stock WHERE bin = %s", sold, sku) == [(1, 0)],
        what="one copy to be sold and the others to be back",
    )
    charged = shop.query(
        "SELECT c.amount_minor - sum(r.amount_minor) - o.total_minor, count(*), min(r.state) FROM payments_charge c "
        "JOIN payments_refund r ON r.charge_id = c.id JOIN orders_order o ON o.id = c.order_id "
        "WHERE c.order_id = %s::uuid GROUP BY c.amount_minor, o.total_minor",
        order_id,
    )
    assert charged == [(0, 1, "succeeded")]
    shop.wait_until(
        lambda: (
            shop.query(
                "SELECT count(*) FROM orders_ordermail WHERE order_id = %s::uuid AND sent_at IS NOT NULL", order_id
            )
            == [(5,)]
        ),
        what="five mails: confirmed, reduced, refunded, shipped, delivered",
    )
    for page in (buyer, staff):
        page.context.close()
