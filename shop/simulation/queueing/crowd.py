"""Everybody who waits: each asks for a place, looks once at how many are before, and orders when it is their turn.

They hear of the queue by the sockets, which say the same to all; as many as there are sockets have one of their own,
and what each socket hears is measured. Over HTTP a bounded number of threads speaks for all, first for those whose turn
it is.
"""

import heapq
import http.client
import json
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from shop.simulation import load
from shop.simulation.buyers import Buyer, SalePlan
from shop.simulation.load import ClickAnswer, Clicks, NoAnswer, Refused
from shop.simulation.queueing.sockets import Listeners
from shop.simulation.sale_fixture import SaleFixture
from shop.waiting_room import admission, draw, scripts, tokens

_ADMITTED, _ASKING, _LOOKING = range(3)
"""What is done first."""
_AGAIN_SECONDS = 0.2
_TRIES = 50
_LOOK_SECONDS = 0.02
_PAGES_PER_SECOND = 400
"""So many look at their place after the draw, as the page's script spreads it."""
_REST_SECONDS = 3.0
"""How long nobody may be admitted after the last copy."""


@dataclass(slots=True)
class Waiter:
    """One of them, and what they were told."""

    buyer: Buyer
    is_idle: bool
    """Does not order when admitted."""
    token: str = ""
    place: str = ""
    number: int = -1
    ahead: int | None = None
    served: int = 0
    """When `ahead` was said."""
    estimated_at: float | None = None
    """The moment that was estimated for their turn."""
    admitted_at: float | None = None
    """When the sockets said so."""
    until: float | None = None
    state: str = ""
    """The last one that was told."""


@dataclass
class Told:
    """What the queue said while it was asked; threads only append."""

    waiters: list[Waiter]
    after_over: list[str] = field(default_factory=list)
    """States of some who waited, once the last copy was sold."""
    place_ms: list[float] = field(default_factory=list)


Job = tuple[int, int, Callable[[http.client.HTTPConnection], None]]


class Crowd:
    """All waiters; the shape that `runner.watch` knows of a rush."""

    def __init__(self, waiters: list[Waiter], fixture: SaleFixture, url: str, live_url: str, plan: SalePlan) -> None:
        self.clicks = Clicks()
        self.told = Told(waiters)
        self.admissions: list[tuple[int, float]] = []
        """How many were admitted, and when the last of them, in seconds since 1970: as Redis has it."""
        self.listeners = Listeners(live_url, plan.sockets)
        self._fixture, self._url = fixture, url
        self._path = f"/api/sales/{fixture.sale.pk}/place/"
        self._early = round(len(waiters) * 0.7)
        self._jobs: queue.PriorityQueue[Job] = queue.PriorityQueue()
        self._numbers = count()
        self._unfinished = 0
        self._lock = threading.Lock()
        self._drawn: list[tuple[int, int, Waiter]] = []
        self._not_looked: deque[Waiter] = deque()
        self._seed, self._looked, self._drawn_at = "", 0, 0.0
        self._stop = threading.Event()
        self._driver = threading.Thread(target=self._drive, name="crowd", daemon=True)
        self._threads = [
            threading.Thread(target=self._work, name=f"waiters-{number}", daemon=True) for number in range(plan.threads)
        ]

    def start(self) -> None:
        """Let them come."""
        self.listeners.start()
        for thread in (*self._threads, self._driver):
            thread.start()

    @property
    def is_over(self) -> bool:
        """Whether nobody does anything any more."""
        return not self._driver.is_alive()

    def stop(self) -> None:
        """Send them home."""
        self._stop.set()
        for _ in self._threads:
            self._jobs.put((99, next(self._numbers), lambda _: None))
        for thread in (self._driver, *self._threads):
            thread.join(20)
        self.listeners.stop()

    # -- what happens when -----------------------------------------------------------------------------------
    def _drive(self) -> None:
        waiters = self.told.waiters
        for waiter in waiters[: self._early]:
            self._do(_ASKING, self._asking(waiter))
        starts_at = self._fixture.sale.starts_at.timestamp()
        while time.time() < starts_at and not self._stop.wait(_LOOK_SECONDS):
            pass
        for waiter in waiters[self._early :]:
            self._do(_ASKING, self._asking(waiter))
        while not self._stop.wait(_LOOK_SECONDS):
            self._note_admissions()
            state = self.listeners.heard[-1].state if self.listeners.heard else None
            if state is None or not state.seed:
                continue
            if not self._seed:
                self._draw(waiters[: self._early], state.seed)
            if state.phase in ("over", "ended"):
                self._end()
                self._note_admissions()
                return
            self._admit(state.served_to)
            self._look_at_places()
            if self._unfinished == 0 and all(waiter.admitted_at for waiter in waiters):
                return

    def _note_admissions(self) -> None:
        """The sockets say it too, but to thousands only every few seconds."""
        with suppress(*admission.UNREACHABLE):
            meta = scripts.read(self._fixture.sale.pk)[0]
            found = int(meta.get("served", "0")), int(meta.get("served_at", "0")) / 1000
            if found[0] and found not in self.admissions[-1:]:
                self.admissions.append(found)

    def _draw(self, waiters: list[Waiter], seed: str) -> None:
        self._seed, self._drawn_at = seed, time.time()
        for waiter in waiters:
            if waiter.place and waiter.number < 0:
                self._give_number(waiter, draw.number(seed, waiter.place))
                self._not_looked.append(waiter)

    def _look_at_places(self) -> None:
        while self._not_looked and self._looked < (time.time() - self._drawn_at) * _PAGES_PER_SECOND:
            self._looked += 1
            self._do(_LOOKING, self._looking(self._not_looked.popleft()))

    def _give_number(self, waiter: Waiter, number: int) -> None:
        with self._lock:
            if waiter.number >= 0:
                return
            waiter.number = number
            heapq.heappush(self._drawn, (number, next(self._numbers), waiter))

    def _admit(self, served_to: int) -> None:
        now = time.time()
        with self._lock:
            while self._drawn and self._drawn[0][0] <= served_to:
                waiter = heapq.heappop(self._drawn)[2]
                waiter.admitted_at = now
                self._do(_ADMITTED, self._acting(waiter))

    def _end(self) -> None:
        """Ask some who waited what they are told now, and look whether anybody is admitted."""
        over_at = time.time()
        with self._lock:
            left = [waiter for _, _, waiter in self._drawn[:50]]
        for waiter in left:
            self._do(_ADMITTED, self._asking_after(waiter))
        while (self._unfinished or time.time() < over_at + _REST_SECONDS) and not self._stop.wait(_LOOK_SECONDS):
            pass

    # -- over HTTP -------------------------------------------------------------------------------------------
    def _do(self, first: int, what: Callable[[http.client.HTTPConnection], None]) -> None:
        self._unfinished += 1
        self._jobs.put((first, next(self._numbers), what))

    def _work(self) -> None:
        client = load.connection_to(self._url)
        while not self._stop.is_set():
            _, _, what = self._jobs.get()
            try:
                what(client)
            except (NoAnswer, Refused) as error:
                self.clicks.failures.append(str(error))
            finally:
                with self._lock:
                    self._unfinished -= 1
        client.close()

    def _asking(self, waiter: Waiter) -> Callable[[http.client.HTTPConnection], None]:
        def ask(client: http.client.HTTPConnection) -> None:
            started = time.monotonic()
            said = self._place(client, "POST", waiter)
            self.told.place_ms.append((time.monotonic() - started) * 1000)
            if said is None:
                return  # the last copy was sold before they came
            waiter.token, waiter.place, waiter.state = said["token"], said["place"], said["state"]
            if said["seed"]:
                self._note(waiter, said)
                self._give_number(waiter, said["number"])
            elif self._seed:  # the answer was on its way when the sale started
                self._give_number(waiter, draw.number(self._seed, waiter.place))

        return ask

    def _looking(self, waiter: Waiter) -> Callable[[http.client.HTTPConnection], None]:
        def look(client: http.client.HTTPConnection) -> None:
            if waiter.admitted_at is None and (said := self._place(client, "GET", waiter)):
                self._note(waiter, said)

        return look

    def _note(self, waiter: Waiter, said: dict[str, Any]) -> None:
        waiter.state, waiter.ahead, waiter.served = said["state"], said["ahead"], said["served"]
        if said["estimate_seconds"] is not None:
            waiter.estimated_at = time.time() + said["estimate_seconds"]

    def _acting(self, waiter: Waiter) -> Callable[[http.client.HTTPConnection], None]:
        def act(client: http.client.HTTPConnection) -> None:
            said = self._place(client, "GET", waiter)
            if said is None or said["state"] != "admitted":
                waiter.state = said["state"] if said else ""
                return
            waiter.state, waiter.token = "admitted", said["token"]
            waiter.until = time.time() + said["seconds_left"]
            if not waiter.is_idle:
                self._order(client, waiter)

        return act

    def _asking_after(self, waiter: Waiter) -> Callable[[http.client.HTTPConnection], None]:
        def ask(client: http.client.HTTPConnection) -> None:
            if said := self._place(client, "GET", waiter):
                self.told.after_over.append(said["state"])

        return ask

    def _order(self, client: http.client.HTTPConnection, waiter: Waiter) -> None:
        started, body = time.monotonic(), load.order_body(self._fixture, waiter.buyer)
        for _ in range(_TRIES):
            status, text = _insisting(load.post_order, client, body, headers={tokens.HEADER: waiter.token})
            code = json.loads(text)["error"]["code"] if status == 422 else ""
            if (status != 503 and code not in load.NOT_LOADED_YET) or self._stop.wait(_AGAIN_SECONDS):
                break
        milliseconds = (time.monotonic() - started) * 1000
        if status in (200, 201):
            waiter.state = "ordered"
            self.clicks.note(waiter.buyer, ClickAnswer.ACCEPTED, milliseconds)
        elif code in load.SOLD_OUT_CODES:
            self.clicks.note(waiter.buyer, ClickAnswer.TURNED_AWAY, milliseconds)
        else:
            raise Refused(f"{status} {text[:200]}")

    def _place(self, client: http.client.HTTPConnection, method: str, waiter: Waiter) -> dict[str, Any] | None:
        """What is said of the place; None where the queue gives none any more.

        Raises:
            NoAnswer: there was none, again and again.
            Refused: an error that nobody should get.
        """
        headers = {tokens.HEADER: waiter.token} if waiter.token else {}
        for _ in range(_TRIES):
            status, text = _insisting(load.ask, client, method, self._path, headers=headers)
            if status == 200:
                said: dict[str, Any] = json.loads(text)
                return said
            if status == 409:
                return None
            if status not in (404, 503):  # a web process that does not know the sale yet, or is without Redis
                break
            if self._stop.wait(_AGAIN_SECONDS):
                break
        raise Refused(f"{method} {self._path}: {status} {text[:200]}")


def _insisting(ask: Callable[..., tuple[int, str]], *request: Any, headers: dict[str, str]) -> tuple[int, str]:
    """The same once more where there was no answer: a connection that was kept may have been closed meanwhile."""
    try:
        return ask(*request, headers=headers)
    except NoAnswer:
        return ask(*request, headers=headers)
