"""The rush: threads that start together and click for one buyer after the other."""

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

# A buyer whose click gets no answer tries again with the same key, and so long.
_INSISTS_SECONDS = 30.0
_BREATH_SECONDS = 0.2
_HTTP_TIMEOUT_SECONDS = 15.0
_AT_THE_DOOR = frozenset({"sold_out", "not_enough"})
# A web process that has not read of the sale yet; it does within a second.
_NOT_YET = frozenset({"not_for_sale", "price_changed"})


class Answer(Enum):
    """What the shop said to a click."""

    ACCEPTED = "accepted"
    TURNED_AWAY = "turned away"
    """Sold out, said at the door: there is no order."""


class NoAnswer(Exception):
    """The shop could not say; the click may be repeated."""


class Refused(Exception):
    """The shop said something that no buyer of a simulation should hear; the message has it."""


Click = Callable[[Buyer], Answer]
Door = Callable[[], AbstractContextManager[Click]]
"""Makes what one thread clicks with."""


@dataclass
class Clicks:
    """What became of the clicks so far. Threads append, which needs no lock."""

    accepted_ms: list[float] = field(default_factory=list)
    turned_away_ms: list[float] = field(default_factory=list)
    turned_away: list[Buyer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def latencies_ms(self) -> list[float]:
        """How long each answered click took."""
        return [*self.accepted_ms, *self.turned_away_ms]

    def note(self, buyer: Buyer, answer: Answer, milliseconds: float) -> None:
        """A click was answered."""
        if answer is Answer.ACCEPTED:
            self.accepted_ms.append(milliseconds)
        else:
            self.turned_away_ms.append(milliseconds)
            self.turned_away.append(buyer)


class Rush:
    """All buyers of a crowd, clicking in the sequence of their coming."""

    def __init__(self, crowd: Sequence[Buyer], door: Door, plan: SalePlan) -> None:
        self.clicks = Clicks()
        self._coming = enumerate(crowd)
        self._turn = threading.Lock()
        self._door = door
        self._rate = plan.rate
        self._stop = threading.Event()
        self._started = 0.0
        threads = min(plan.threads, len(crowd))
        self._together = threading.Barrier(threads, action=self._note_start)
        self._threads = [
            threading.Thread(target=self._run, name=f"buyers-{number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        """Let them go, all threads at the same moment."""
        for thread in self._threads:
            thread.start()

    @property
    def is_over(self) -> bool:
        """Whether the last click is answered."""
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Nobody clicks any more; waits for the clicks under way."""
        self._stop.set()
        self._together.abort()
        deadline = time.monotonic() + _HTTP_TIMEOUT_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _note_start(self) -> None:
        self._started = time.monotonic()

    def _run(self) -> None:
        try:
            with self._door() as click:
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
                if time.monotonic() - started > _INSISTS_SECONDS or self._stop.wait(_BREATH_SECONDS):
                    self.clicks.failures.append(str(error))
                    return
            except Refused as error:
                self.clicks.failures.append(str(error))
                return
            else:
                self.clicks.note(buyer, answer, (time.monotonic() - started) * 1000)
                return


def through_checkout(stall: SaleFixture, plan: SalePlan) -> Door:
    """Clicks that go straight to the checkout: past the door, so that every buyer has an order."""

    def click(buyer: Buyer) -> Answer:
        try:
            placement.place(_draft(buyer, stall, plan))
        except placement.CheckoutUnavailable as error:
            raise NoAnswer(str(error)) from error
        return Answer.ACCEPTED

    @contextmanager
    def door() -> Iterator[Click]:
        try:
            yield click
        finally:
            connection.close()

    return door


def over_http(stall: SaleFixture, url: str) -> Door:
    """Clicks that are POSTed to a shop's /api/orders/, each thread on a connection that it keeps."""

    @contextmanager
    def door() -> Iterator[Click]:
        client = connection_to(url)
        try:
            yield lambda buyer: _post(client, stall, buyer)
        finally:
            client.close()

    return door


def connection_to(url: str) -> http.client.HTTPConnection:
    """A connection to the shop at this address, opened when it is first used."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=_HTTP_TIMEOUT_SECONDS)


def _post(client: http.client.HTTPConnection, stall: SaleFixture, buyer: Buyer) -> Answer:
    body = {
        **msgspec.to_builtins(buyer.contact),
        "idempotency_key": str(buyer.key),
        "lines": [
            {"sku": stall.skus[number], "quantity": 1, "expected_price_minor": SALE_PRICE_MINOR}
            for number in buyer.wants
        ],
        "payment_method": buyer.card,
    }
    status, text = post_order(client, body)
    if status in (200, 201):
        return Answer.ACCEPTED
    code = json.loads(text)["error"]["code"] if status == 422 else ""
    if code in _AT_THE_DOOR:
        return Answer.TURNED_AWAY
    if code in _NOT_YET or status == 503:
        raise NoAnswer(f"{status} {text[:200]}")
    raise Refused(f"{status} {text[:200]}")


def post_order(client: http.client.HTTPConnection, body: Mapping[str, Any]) -> tuple[int, str]:
    """POST to /api/orders/: the status, and the answer's text.

    Raises:
        NoAnswer: none came.
    """
    try:
        client.request("POST", "/api/orders/", json.dumps(body), {"Content-Type": "application/json"})
        response = client.getresponse()
        return response.status, response.read().decode()
    except (OSError, HTTPException) as error:
        client.close()  # the next request opens it again
        raise NoAnswer(f"{type(error).__name__}: {error}") from error


def _draft(buyer: Buyer, stall: SaleFixture, plan: SalePlan) -> placement.Draft:
    contact = buyer.contact
    return placement.Draft(
        idempotency_key=buyer.key,
        lines=tuple(
            placement.DraftLine(
                sku=stall.books[number].isbn,
                title=stall.books[number].title,
                unit_price_minor=SALE_PRICE_MINOR,
                quantity=1,
                sale_id=stall.sale.pk,
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
    )
