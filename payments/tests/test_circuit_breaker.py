"""The circuit breaker: leaves a silent gateway alone, tries it with one call, and never keeps callers waiting."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devtools.testing.payments.sandbox_bank import InProcessGateway
from payments import gateways
from payments.gateways import Declined, Gateway, Guarded, RequiresAction, Succeeded, Unknown
from payments.gateways.circuit_breaker import CircuitBreaker, Ticket

pytestmark = pytest.mark.money
FAILURES, SECONDS = 3, 5.0


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The breaker's time."""
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    """A closed one."""
    return CircuitBreaker(failures=FAILURES, seconds=SECONDS, now=clock)


def call(breaker: CircuitBreaker, *, answered: bool) -> None:
    ticket = breaker.admit()
    assert ticket is not None
    breaker.note(ticket, answered=answered)


def open_it(breaker: CircuitBreaker) -> None:
    for _ in range(FAILURES):
        call(breaker, answered=False)


# -- The breaker ----------------------------------------------------------------------------------------
def test_failures_in_a_row_open_it(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        for _ in range(FAILURES - 1):
            call(breaker, answered=False)
        call(breaker, answered=True)
    assert breaker.room(10) == 10
    open_it(breaker)
    assert breaker.room(10) == 0
    assert breaker.admit() is None


def test_one_call_probes_and_its_answer_closes_it(breaker: CircuitBreaker, clock: Clock) -> None:
    open_it(breaker)
    clock.now += SECONDS - 0.1
    assert breaker.admit() is None
    clock.now += 0.1
    assert (breaker.room(10), breaker.room(0)) == (1, 0)
    probe = breaker.admit()
    assert probe is not None
    assert (breaker.room(10), breaker.admit()) == (0, None), "one probe at a time"
    breaker.note(probe, answered=True)
    assert breaker.room(10) == 10


def test_a_probe_without_an_answer_opens_it_again(breaker: CircuitBreaker, clock: Clock) -> None:
    open_it(breaker)
    for _ in range(3):
        clock.now += SECONDS
        call(breaker, answered=False)
        assert breaker.admit() is None


def test_what_was_begun_before_it_opened_says_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    old = [ticket for ticket in (breaker.admit() for _ in range(6)) if ticket is not None]
    open_it(breaker)
    breaker.note(old[0], answered=True)
    assert breaker.admit() is None, "an answer to an old call does not close it"
    clock.now += SECONDS
    probe = breaker.admit()
    breaker.note(old[1], answered=False)
    assert breaker.admit() is None, "nor does it make room for a second probe"
    assert probe is not None
    breaker.note(probe, answered=True)
    for ticket in old[2:]:
        breaker.note(ticket, answered=False)
    assert breaker.room(1) == 1, "and old failures do not open it"


STEPS = st.lists(st.sampled_from(["begin", "answer", "lose", "wait"]), max_size=60)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
def test_whatever_happens_it_lets_calls_through_again(steps: list[str]) -> None:
    clock = Clock()
    breaker = CircuitBreaker(failures=FAILURES, seconds=SECONDS, now=clock)
    under_way: list[Ticket] = []
    for step in steps:
        if step == "wait":
            clock.now += SECONDS / 2
        elif step == "begin":
            room, ticket = breaker.room(1), breaker.admit()
            assert (ticket is not None) == (room == 1), "it keeps what it said"
            if ticket is not None:
                under_way.append(ticket)
        elif under_way:
            breaker.note(under_way.pop(0), answered=step == "answer")
    for ticket in under_way:
        breaker.note(ticket, answered=False)
    clock.now += SECONDS
    assert breaker.room(1) == 1
    call(breaker, answered=True)
    assert breaker.room(7) == 7


def test_of_many_callers_one_is_the_probe(breaker: CircuitBreaker, clock: Clock) -> None:
    open_it(breaker)
    for _ in range(20):
        clock.now += SECONDS
        together = threading.Barrier(16)

        def ask(together: threading.Barrier = together) -> Ticket | None:
            together.wait(10)
            return breaker.admit()

        with ThreadPoolExecutor(16) as pool:
            tickets = [future.result() for future in [pool.submit(ask) for _ in range(16)]]
        (probe,) = [ticket for ticket in tickets if ticket is not None]
        breaker.note(probe, answered=False)


# -- The guarded gateway ----------------------------------------------------------------------------------
class Scripted:
    """A gateway that gives one answer to every call, or raises it."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def give(**_: object) -> object:
            self.calls.append(name)
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer

        return give


def guarded(answer: object, clock: Clock) -> tuple[Guarded, Scripted]:
    scripted = Scripted(answer)
    return Guarded(scripted, CircuitBreaker(failures=FAILURES, seconds=SECONDS, now=clock)), scripted


CALLS: Mapping[str, Mapping[str, Any]] = {
    "authorize": {"key": "k", "amount_minor": 1, "currency": "USD", "payment_method": "pm", "return_url": ""},
    "capture": {"key": "k", "transaction_id": "t", "amount_minor": 1},
    "void": {"key": "k", "transaction_id": "t"},
    "refund": {"key": "k", "transaction_id": "t", "amount_minor": 1},
    "find": {"key": "k"},
    "find_refund": {"key": "k", "transaction_id": "t"},
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("answer", [Succeeded("t"), Declined("no"), RequiresAction("t", "u"), None], ids=str)
def test_every_answer_is_passed_on_and_keeps_it_closed(clock: Clock, name: str, answer: object) -> None:
    gateway, scripted = guarded(answer, clock)
    for _ in range(2 * FAILURES):
        assert getattr(gateway, name)(**CALLS[name]) == answer
    assert scripted.calls == [name] * 2 * FAILURES


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("failure", [Unknown("timeout"), KeyError("a bug"), OSError("no route")], ids=str)
def test_whatever_goes_wrong_is_unknown_and_opens_it(clock: Clock, name: str, failure: object) -> None:
    gateway, scripted = guarded(failure, clock)
    for _ in range(FAILURES):
        answer = getattr(gateway, name)(**CALLS[name])
        assert isinstance(answer, Unknown)
        assert "left alone" not in answer.detail
    answer = getattr(gateway, name)(**CALLS[name])
    assert isinstance(answer, Unknown)
    assert "left alone" in answer.detail
    assert scripted.calls == [name] * FAILURES
    assert gateway.room(32) == 0
    clock.now += SECONDS
    assert gateway.room(32) == 1
    scripted.answer = Succeeded("t")
    assert getattr(gateway, name)(**CALLS[name]) == Succeeded("t")
    assert gateway.room(32) == 32


@pytest.mark.parametrize("name", CALLS)
def test_the_probe_moves_no_money(clock: Clock, name: str) -> None:
    gateway, scripted = guarded(Unknown("timeout"), clock)
    for _ in range(FAILURES):
        gateway.find(key="k")
    scripted.calls.clear()
    for _ in range(2):
        clock.now += SECONDS
        assert isinstance(getattr(gateway, name)(**CALLS[name]), Unknown)
    looks = name if name.startswith("find") else "find"
    assert scripted.calls == [looks, looks], "the gateway was not asked to do anything"
    clock.now += SECONDS
    scripted.answer = Succeeded("t")
    assert getattr(gateway, name)(**CALLS[name]) == Succeeded("t")
    assert scripted.calls[2:] == ([looks] if name == looks else [looks, name])


def test_a_probe_that_is_broken_off_gives_its_place_back(clock: Clock) -> None:
    gateway, scripted = guarded(Unknown("timeout"), clock)
    for _ in range(FAILURES):
        gateway.find(key="k")
    clock.now += SECONDS
    scripted.answer = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        gateway.find(key="k")
    clock.now += SECONDS
    assert gateway.room(1) == 1


def test_calls_run_beside_each_other(clock: Clock) -> None:
    together = threading.Barrier(8)

    class Meeting(Scripted):
        def __getattr__(self, name: str) -> Callable[..., Any]:
            return lambda **_: Succeeded(str(together.wait(10)))

    gateway = Guarded(Meeting(None), CircuitBreaker(failures=1, seconds=SECONDS, now=clock))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: gateway.void(key=str(n), transaction_id="t"), range(8)))
    assert {type(answer) for answer in answers} == {Succeeded}


def test_it_offers_all_that_a_gateway_does() -> None:
    offered = [name for name in vars(Gateway) if not name.startswith("_")]
    assert {name: get_type_hints(getattr(Guarded, name)) for name in offered} == {
        name: get_type_hints(getattr(Gateway, name)) for name in offered
    }


def test_the_gateway_in_use_is_guarded(settings: Any, sandbox_gateway: InProcessGateway) -> None:
    settings.PAYMENT_BREAKER_FAILURES, settings.PAYMENT_BREAKER_SECONDS = 2, 60
    gateways.current.cache_clear()
    current = gateways.current()
    assert isinstance(current.gateway, InProcessGateway)
    current.gateway.server.outage.begin(60, "refuse")
    for _ in range(3):
        assert isinstance(current.find(key="k"), Unknown)
    current.gateway.server.outage.begin(0, "refuse")
    assert isinstance(current.find(key="k"), Unknown), "left alone"
    assert current.room(32) == 0
    current.gateway.bank.close()
