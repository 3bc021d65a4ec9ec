"""The load: threads that start together and click for one buyer after the other."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.db import connection

from orders.placing import placement
from shop.flashsales import flash_sales
from shop.simulation.buyers import Buyer, SalePlan
from shop.simulation.sale_fixture import SALE_PRICE_MINOR, SaleFixture

# A buyer whose click gets no answer tries again with the same key, for so long.
_RETRY_FOR_SECONDS = 30.0
_RETRY_PAUSE_SECONDS = 0.2
_HTTP_TIMEOUT_SECONDS = 15.0
SOLD_OUT_CODES = frozenset({"sold_out", "not_enough"})
_JSON = {"Content-Type": "application/json"}
# From a web process that has not loaded the sale yet; it does within a second.
NOT_LOADED_YET = frozenset({"not_for_sale", "price_changed"})


class ClickAnswer(Enum):
    """The shop's answer to a click."""

    ACCEPTED = "accepted"
    TURNED_AWAY = "turned away"
    """Sold out, before there was an order."""


class NoAnswer(Exception):
    """The shop gave no answer; the click may be repeated."""


class Refused(Exception):
    """The shop gave an answer that no buyer of a simulation should get; the message has it."""


Click = Callable[[Buyer], ClickAnswer]
OpenClient = Callable[[], AbstractContextManager[Click]]
"""Opens the client with which one thread clicks."""


@dataclass
class Clicks:
    """The clicks so far. Threads only append, which needs no lock."""

    accepted_ms: list[float] = field(default_factory=list)
    turned_away_ms: list[float] = field(default_factory=list)
    turned_away: list[Buyer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def latencies_ms(self) -> list[float]:
        """How long each answered click took."""
        return [*self.accepted_ms, *self.turned_away_ms]

    def note(self, buyer: Buyer, answer: ClickAnswer, milliseconds: float) -> None:
        """Record an answered click."""
        if answer is ClickAnswer.ACCEPTED:
            self.accepted_ms.append(milliseconds)
        else:
            self.turned_away_ms.append(milliseconds)
            self.turned_away.append(buyer)


class Rush:
    """All buyers, clicking in their sequence."""

    def __init__(self, buyers: Sequence[Buyer], open_client: OpenClient, plan: SalePlan) -> None:
        self.clicks = Clicks()
        self._coming = enumerate(buyers)
        self._turn = threading.Lock()
        self._open_client = open_client
        self._rate = plan.rate
        self._stop = threading.Event()
        self._started = 0.0
        threads = min(plan.threads, len(buyers))
        self._together = threading.Barrier(threads, action=self._note_start)
        self._threads = [
            threading.Thread(target=self._run, name=f"buyers-{number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        """Start clicking, all threads at the same moment."""
        for thread in self._threads:
            thread.start()

    @property
    def is_over(self) -> bool:
        """Whether the last click is answered."""
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Stop clicking; waits for the clicks under way."""
        self._stop.set()
        self._together.abort()
        deadline = time.monotonic() + _HTTP_TIMEOUT_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _note_start(self) -> None:
        self._started = time.monotonic()

    def _run(self) -> None:
        try:
            with self._open_client() as click:
                self._together.wait()
                while (buyer := self._next()) is not None:
                    self._click(click, buyer)
        except threading.BrokenBarrierError:
            pass  # told to stop before it began, or another thread failed and has said so
        except Exception as error:
            self.clicks.failures.append(f"{type(error).__name__}: {error}")
            self._together.abort()

    def _next(self) -> Buyer | None:
        with self._turn:
            number, buyer = next(self._coming, (0, None))
        if self._rate and buyer is not None:
            self._stop.wait(max(0.0, self._started + number / self._rate - time.monotonic()))
        return None if self._stop.is_set() else buyer

    def _click(self, click: Click, buyer: Buyer) -> None:
        started = time.monotonic()
        while True:
            try:
                answer = click(buyer)
            except NoAnswer as error:
                if time.monotonic() - started > _RETRY_FOR_SECONDS or self._stop.wait(_RETRY_PAUSE_SECONDS):
                    self.clicks.failures.append(str(error))
                    return
            except Refused as error:
                self.clicks.failures.append(str(error))
                return
            else:
                self.clicks.note(buyer, answer, (time.monotonic() - started) * 1000)
                return


def through_checkout(fixture: SaleFixture, plan: SalePlan) -> OpenClient:
    """Clicks that call the checkout directly, without its check of the stock, so that every buyer gets an order."""

    def click(buyer: Buyer) -> ClickAnswer:
        try:
            placement.place(_draft(buyer, fixture, plan))
        except placement.CheckoutUnavailable as error:
            raise NoAnswer(str(error)) from error
        return ClickAnswer.ACCEPTED

    @contextmanager
    def open_client() -> Iterator[Click]:
        try:
            yield click
        finally:
            connection.close()

    return open_client


def over_http(fixture: SaleFixture, url: str) -> OpenClient:
    """Clicks that POST to a shop's /api/orders/, each thread over a persistent connection."""

    @contextmanager
    def open_client() -> Iterator[Click]:
        client = connection_to(url)
        try:
            yield lambda buyer: _post(client, fixture, buyer)
        finally:
            client.close()

    return open_client


def connection_to(url: str) -> http.client.HTTPConnection:
    """A connection to the shop at this address; it opens when first used."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=_HTTP_TIMEOUT_SECONDS)


def _post(client: http.client.HTTPConnection, fixture: SaleFixture, buyer: Buyer) -> ClickAnswer:
    status, text = post_order(client, order_body(fixture, buyer))
    if status in (200, 201):
        return ClickAnswer.ACCEPTED
    code = json.loads(text)["error"]["code"] if status == 422 else ""
    if code in SOLD_OUT_CODES:
        return ClickAnswer.TURNED_AWAY
    if code in NOT_LOADED_YET or status == 503:
        raise NoAnswer(f"{status} {text[:200]}")
    raise Refused(f"{status} {text[:200]}")


def order_body(fixture: SaleFixture, buyer: Buyer) -> dict[str, Any]:
    """What a buyer sends to /api/orders/."""
    return {
        **msgspec.to_builtins(buyer.contact),
        "idempotency_key": str(buyer.key),
        "lines": [
            {"sku": fixture.skus[number], "quantity": 1, "expected_price_minor": SALE_PRICE_MINOR}
            for number in buyer.wants
        ],
        "payment_method": buyer.card,
    }


def post_order(
    client: http.client.HTTPConnection, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """POST to /api/orders/; returns the status and the body.

    Raises:
        NoAnswer: there was none.
    """
    return ask(client, "POST", "/api/orders/", body=json.dumps(body), headers={**_JSON, **(headers or {})})


def ask(
    client: http.client.HTTPConnection, method: str, path: str, *, body: str = "", headers: Mapping[str, str]
) -> tuple[int, str]:
    """Any request; returns the status and the body.

    Raises:
        NoAnswer: there was none.
    """
    try:
        client.request(method, path, body or None, dict(headers))
        response = client.getresponse()
        return response.status, response.read().decode()
    except (OSError, HTTPException) as error:
        client.close()  # the next request opens it again
        raise NoAnswer(f"{type(error).__name__}: {error}") from error


def _draft(buyer: Buyer, fixture: SaleFixture, plan: SalePlan) -> placement.Draft:
    contact = buyer.contact
    return placement.Draft(
        idempotency_key=buyer.key,
        lines=tuple(
            placement.DraftLine(
                sku=fixture.books[number].isbn,
                title=fixture.books[number].title,
                unit_price_minor=SALE_PRICE_MINOR,
                quantity=1,
                sale_id=fixture.sale.pk,
            )
            for number in buyer.wants
        ),
        currency=settings.CURRENCY,
        flow=plan.flow,
        payment_method=buyer.card,
        name=contact.name,
        email=contact.email,
        address_line1=contact.address_line1,
        city=contact.city,
        postcode=contact.postcode,
        country=contact.country,
        customer=flash_sales.customer_of(None, contact.email) if plan.customer_limit is not None else "",
        contact=flash_sales.customer_of(None, contact.email) if plan.customer_limit is not None else "",
    )
