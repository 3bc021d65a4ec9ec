"""Pages over HTTP as strangers get them, from the web process's memory."""

import re
import time

import httpx
import pytest

from devtools.testing.processes import Shop

pytestmark = [pytest.mark.kafka]
NEW_PRICE = "1,234.56"


def test_strangers_share_an_answer_and_buyers_have_their_own(running_shop: Shop) -> None:
    with httpx.Client(base_url=running_shop.url, trust_env=False) as stranger:
        front = stranger.get("/")
        address = re.search(r'href="(/books/(\d{13})-[^"]*)"', front.text)
        assert address is not None
        page = stranger.get(address[1])
        assert "x-is-shared" not in page.headers
        assert "set-cookie" not in page.headers
        assert "content-security-policy" in page.headers
        assert stranger.get(address[1], headers={"If-None-Match": page.headers["etag"]}).status_code == 304
        assert stranger.get(address[1], headers={"If-None-Match": '"other"'}).status_code == 200

        with httpx.Client(base_url=running_shop.url, trust_env=False) as buyer:
            buyer.post("/cart/add/", data={"sku": address[2], "quantity": "2"})
            for _ in range(3):
                assert "books in it" not in stranger.get("/").text
                assert "books in it" in buyer.get("/").text
                assert "etag" not in buyer.get("/").headers
        assert stranger.get("/", headers={"HX-Request": "true"}).text.lstrip().startswith("<div")
        assert stranger.get("/", headers={"Host": "evil.example"}).status_code == 400


def test_a_new_price_is_on_everybodys_page_within_a_second(running_shop: Shop) -> None:
    with httpx.Client(base_url=running_shop.url, trust_env=False) as stranger:
        found = re.search(r'href="(/books/(\d{13})-[^"]*)"', stranger.get("/?sort=title").text)
        assert found is not None
        address, isbn = found.groups()
        assert NEW_PRICE not in stranger.get(address).text
        [(old,)] = running_shop.query("SELECT price_minor FROM shop_book WHERE isbn = %s", isbn)
        running_shop.query("UPDATE shop_book SET price_minor = 123456 WHERE isbn = %s RETURNING 1", isbn)
        changed_at = time.monotonic()
        try:
            while NEW_PRICE not in stranger.get(address).text:
                assert time.monotonic() - changed_at < 3  # a second, on a machine that does nothing else
        finally:
            running_shop.query("UPDATE shop_book SET price_minor = %s WHERE isbn = %s RETURNING 1", old, isbn)
