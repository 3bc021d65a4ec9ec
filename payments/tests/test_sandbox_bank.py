"""The bank's rules, with many callers at a time: a key is a call, and money has bounds."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.gateways import PaymentStatus
from payments.sandbox.bank import Bank, Carried
from payments.sandbox.books import Entry, Payment
from payments.sandbox.rules import MOST_MINOR, Code, Refused

pytestmark = pytest.mark.money
CALLERS = 20
T = TypeVar("T")


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    """An empty one."""
    bank = Bank(tmp_path / "ledger.sqlite3")
    yield bank
    bank.close()


def authorize(bank: Bank, *, key: str = "k", amount_minor: int = 1000, card: str = "pm_success") -> Payment:
    return bank.authorize(key=key, amount_minor=amount_minor, currency="USD", card=card).payment


def all_at_once(call: Callable[[int], T]) -> list[T]:
    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(call, range(CALLERS)))


# -- A key is a call ------------------------------------------------------------------------------------
@pytest.mark.parametrize("card", ["pm_success", "pm_declined", "pm_3ds", "pm_charges_then_times_out", "pm_hooks_twice"])
def test_one_key_from_many_callers_is_one_payment(bank: Bank, card: str) -> None:
    """FAILURES 1, on the bank's side: however often the same call comes, it is carried out once."""
    payments = all_at_once(lambda _: authorize(bank, card=card))
    assert len(set(payments)) == 1
    assert bank.statement() == [payments[0]]
    assert len(bank.entries()) == (0 if card == "pm_3ds" else 1)


def test_one_key_from_many_callers_is_one_capture_one_void_one_refund(bank: Bank) -> None:
    taken, let_go = authorize(bank).transaction_id, authorize(bank, key="other").transaction_id
    calls: list[Callable[[int], Carried]] = [
        lambda _: bank.capture(key="c", transaction_id=taken, amount_minor=1000),
        lambda _: bank.void(key="v", transaction_id=let_go),
        lambda _: bank.refund(key="r", transaction_id=taken, amount_minor=400),
    ]
    for call in calls:
        assert len({carried.entry for carried in all_at_once(call)}) == 1
    kinds = [entry.kind for entry in bank.entries() if not entry.declined]
    assert kinds == ["authorization", "authorization", "capture", "void", "refund"]


def test_only_the_first_answer_is_lost(bank: Bank) -> None:
    answers = [
        bank.authorize(key="k", amount_minor=1, currency="USD", card="pm_charges_then_times_out") for _ in range(3)
    ]
    assert [answer.is_lost for answer in answers] == [True, False, False]


@pytest.mark.parametrize(
    "again",
    [
        {"amount_minor": 999},
        {"currency": "EUR"},
        {"card": "pm_declined"},
    ],
)
def test_a_key_used_again_with_other_contents_is_refused(bank: Bank, again: dict[str, Any]) -> None:
    first: dict[str, Any] = {"key": "k", "amount_minor": 1000, "currency": "USD", "card": "pm_success"}
    bank.authorize(**first)
    with pytest.raises(Refused) as refused:
        bank.authorize(**(first | again))
    assert refused.value.code == Code.KEY_REUSED
    assert len(bank.statement()) == 1


def test_a_key_used_again_for_another_kind_of_call_is_refused(bank: Bank) -> None:
    payment, other = authorize(bank).transaction_id, authorize(bank, key="other").transaction_id
    bank.capture(key="c", transaction_id=payment, amount_minor=1000)
    reused: list[Callable[[], object]] = [
        lambda: bank.void(key="k", transaction_id=other),
        lambda: bank.capture(key="c", transaction_id=payment, amount_minor=999),
        lambda: bank.capture(key="c", transaction_id=other, amount_minor=1000),
        lambda: bank.refund(key="c", transaction_id=payment, amount_minor=1000),
        lambda: authorize(bank, key="c"),
    ]
    for call in reused:
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.code == Code.KEY_REUSED
    assert len(bank.entries()) == 3


# -- Money has bounds -----------------------------------------------------------------------------------
def test_a_payment_is_captured_once(bank: Bank) -> None:
    payment = authorize(bank).transaction_id
    all_at_once(lambda n: bank.capture(key=f"c{n}", transaction_id=payment, amount_minor=1000))
    assert len(done(bank, "capture")) == 1
    found = bank.find(key="k")
    assert found is not None
    assert (found.standing, found.captured_minor) == (PaymentStatus.CAPTURED, 1000)


def test_a_capture_takes_no_more_than_was_authorized(bank: Bank) -> None:
    payment = authorize(bank).transaction_id
    too_much = bank.capture(key="c1", transaction_id=payment, amount_minor=1001)
    assert too_much.entry is not None
    assert too_much.entry.declined == "only 1000 are authorized"
    less = bank.capture(key="c2", transaction_id=payment, amount_minor=700)
    assert (less.payment.standing, less.payment.captured_minor) == (PaymentStatus.CAPTURED, 700)


def test_refunds_never_exceed_what_was_captured(bank: Bank) -> None:
    payment = authorize(bank).transaction_id
    bank.capture(key="c", transaction_id=payment, amount_minor=1000)
    all_at_once(lambda n: bank.refund(key=f"r{n}", transaction_id=payment, amount_minor=300))
    assert [entry.amount_minor for entry in done(bank, "refund")] == [300, 300, 300]
    found = bank.find(key="k")
    assert found is not None
    assert found.refunded_minor == 900


def test_a_capture_and_a_void_have_one_winner(bank: Bank) -> None:
    for number in range(10):
        payment = authorize(bank, key=f"k{number}").transaction_id

        def race(n: int, payment: str = payment, number: int = number) -> Carried:
            if n % 2:
                return bank.capture(key=f"c{number}-{n}", transaction_id=payment, amount_minor=1000)
            return bank.void(key=f"v{number}-{n}", transaction_id=payment)

        all_at_once(race)
        winners = [e.kind for e in bank.entries() if e.transaction_id == payment and not e.declined]
        assert len(winners) == 2
        assert winners[1] in ("capture", "void")


@pytest.mark.parametrize("standing", [PaymentStatus.DECLINED, PaymentStatus.VOIDED, PaymentStatus.ACTION])
def test_what_is_not_authorized_cannot_be_captured_nor_refunded(bank: Bank, standing: PaymentStatus) -> None:
    card = {PaymentStatus.DECLINED: "pm_fraud", PaymentStatus.ACTION: "pm_3ds"}.get(standing, "pm_success")
    payment = authorize(bank, card=card).transaction_id
    if standing == PaymentStatus.VOIDED:
        bank.void(key="v", transaction_id=payment)
    captured = bank.capture(key="c", transaction_id=payment, amount_minor=1000)
    refunded = bank.refund(key="r", transaction_id=payment, amount_minor=1)
    assert captured.entry is not None
    assert refunded.entry is not None
    assert captured.entry.declined == f"the payment is not authorized but {standing}"
    assert refunded.entry.declined == "only 0 of this payment are left"
    assert captured.payment.standing == standing


def test_a_payment_that_waits_for_the_buyer_can_be_called_off(bank: Bank) -> None:
    payment = authorize(bank, card="pm_3ds").transaction_id
    assert bank.void(key="v", transaction_id=payment).payment.standing == PaymentStatus.VOIDED
    assert bank.confirm(payment).standing == PaymentStatus.VOIDED, "too late"
    assert [entry.kind for entry in bank.entries()] == ["void"]


def test_a_buyer_answers_once(bank: Bank) -> None:
    payment = authorize(bank, card="pm_3ds").transaction_id
    answers = all_at_once(lambda n: (bank.confirm if n % 2 else bank.refuse)(payment))
    assert len({answer.standing for answer in answers}) == 1
    assert [entry.kind for entry in bank.entries()] == ["authorization"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"amount_minor": -1}, "the amount is from 0"),
        ({"amount_minor": MOST_MINOR + 1}, "the amount is from 0"),
        ({"currency": "US"}, "three letters"),
        ({"currency": "U$D"}, "three letters"),
        ({"key": ""}, "1 to 255 characters"),
        ({"key": "k" * 256}, "1 to 255 characters"),
    ],
)
def test_what_makes_no_sense_is_refused(bank: Bank, changed: dict[str, Any], said: str) -> None:
    sensible: dict[str, Any] = {"key": "k", "amount_minor": 1, "currency": "USD", "card": "pm_success"}
    with pytest.raises(Refused, match=said) as refused:
        bank.authorize(**(sensible | changed))
    assert refused.value.code == Code.BAD_REQUEST
    assert bank.statement() == []


def test_what_there_is_not_is_said(bank: Bank) -> None:
    calls: list[Callable[[], object]] = [
        lambda: bank.capture(key="c", transaction_id="sbx_pay_nobody", amount_minor=1),
        lambda: bank.void(key="v", transaction_id="sbx_pay_nobody"),
        lambda: bank.refund(key="r", transaction_id="sbx_pay_nobody", amount_minor=1),
        lambda: bank.confirm("sbx_pay_nobody"),
    ]
    for call in calls:
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.code == Code.NO_SUCH_PAYMENT
    assert bank.entries() == []


def test_the_ledgers_own_checks_stand_behind_the_rules(bank: Bank, tmp_path: Path) -> None:
    authorize(bank)
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as ledger, pytest.raises(sqlite3.IntegrityError):
        ledger.execute("UPDATE payment SET captured_minor = 1001")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["capture", "void", "refund", "confirm", "refuse"]),
        st.integers(min_value=1, max_value=5),  # the key: few, so that they repeat
        st.integers(min_value=1, max_value=1200),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(card=st.sampled_from(["pm_success", "pm_3ds", "pm_declined", "pm_hooks_shuffled"]), steps=STEPS)
def test_whatever_is_asked_the_books_add_up(
    tmp_path_factory: pytest.TempPathFactory, card: str, steps: list[tuple[str, int, int]]
) -> None:
    bank = Bank(tmp_path_factory.mktemp("bank") / "ledger.sqlite3")
    payment = authorize(bank, card=card).transaction_id
    for kind, key, amount_minor in steps:
        try:
            if kind in ("confirm", "refuse"):
                getattr(bank, kind)(payment)
            elif kind == "void":
                bank.void(key=f"{key}", transaction_id=payment)
            else:
                getattr(bank, kind)(key=f"{key}", transaction_id=payment, amount_minor=amount_minor)
        except Refused as refused:
            assert refused.code == Code.KEY_REUSED
    (found,) = bank.statement()
    captures, voids, refunds = (done(bank, kind) for kind in ("capture", "void", "refund"))
    assert len(captures) + len(voids) <= 1
    assert found.captured_minor == sum(entry.amount_minor for entry in captures) <= found.amount_minor
    assert found.refunded_minor == sum(entry.amount_minor for entry in refunds) <= found.captured_minor
    assert (found.standing == PaymentStatus.CAPTURED) == bool(captures)
    assert (found.standing == PaymentStatus.VOIDED) == bool(voids)
    bank.close()


# -- Looking ----------------------------------------------------------------------------------------
def test_a_statement_comes_in_pages(bank: Bank) -> None:
    for number in range(7):
        authorize(bank, key=f"k{number}")
    pages, after = [], 0
    while page := bank.statement(after=after, limit=3):
        pages.append([payment.key for payment in page])
        after = page[-1].seq
    assert pages == [["k0", "k1", "k2"], ["k3", "k4", "k5"], ["k6"]]
    assert [payment.key for payment in bank.statement(since=bank.statement()[5].at)][-2:] == ["k5", "k6"]


def test_the_ledger_outlives_the_bank(bank: Bank, tmp_path: Path) -> None:
    payment = authorize(bank)
    bank.close()
    again = Bank(tmp_path / "ledger.sqlite3")
    assert again.find(key="k") == payment
    assert authorize(again) == payment
    again.close()


def done(bank: Bank, kind: str) -> list[Entry]:
    return [entry for entry in bank.entries() if entry.kind == kind and not entry.declined]
