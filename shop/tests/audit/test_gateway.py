"""The audit of our money against the gateway's books: whatever only one of the two knows is found, and opened for a
person; and without the gateway the audit goes on.
"""

import threading
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from devtools.testing.payments.sandbox_bank import InProcessGateway
from devtools.testing.shop.shop_at_rest import Shop, audit_command, execute, place
from kafka_bridge import testing
from payments import gateways, reviews
from payments.gateways import Payment
from payments.models import Charge, Refund, Review
from shop import audit, jobs
from shop.audit import gateway
from shop.audit.report import Finding

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money, pytest.mark.usefixtures("slow_carrier")]
BOOKS, PERSON = gateway.BOOKS.name, "money that needs a person"


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The looks at a difference come one after the other at once."""
    monkeypatch.setattr(gateway, "_RETRY_SECONDS", 0.01)


def found(grace_seconds: float = 0) -> Finding:
    """What the audit says of the books."""
    return gateway.finding(gateway.compare(grace_seconds=grace_seconds))


def differences() -> list[tuple[str, str]]:
    """Kinds and subjects of what differs."""
    return [(difference.kind, difference.subject) for difference in gateway.compare(grace_seconds=0).differences]


def charge_of(order_id: uuid.UUID) -> Charge:
    """The charge of this order."""
    return Charge.objects.get(order_id=order_id)


def authorized(bank_of: InProcessGateway, *, key: str, amount_minor: int = 990) -> str:
    """Authorize a payment at the bank that our tables do not know; returns its id there."""
    return bank_of.bank.authorize(
        key=key, amount_minor=amount_minor, currency="USD", card="pm_success"
    ).payment.transaction_id


# -- What differs ---------------------------------------------------------------------------------------
def test_books_that_agree(shop: Shop) -> None:
    compared = gateway.compare(grace_seconds=0)
    assert (compared.differences, compared.note) == ((), "")
    ids = {str(pk) for pk in Charge.objects.values_list("pk", flat=True)}
    assert len(ids) == 3
    assert ids <= compared.compared


def test_money_that_was_given_back_past_us_is_found(shop: Shop, sandbox_gateway: InProcessGateway) -> None:
    charge = charge_of(shop.kept)
    sandbox_gateway.bank.refund(key="by hand", transaction_id=charge.transaction_id, amount_minor=1000)
    assert found().examples == (
        f"charge {charge.pk} of order {shop.kept}: 0.00 USD given back, but 10.00 USD by the gateway's books",
    )


def test_money_that_we_only_think_we_have_is_found(shop: Shop) -> None:
    charge = charge_of(shop.kept)
    ours = Charge.objects.create(
        order_id=uuid.uuid4(), flow="reserve_first", amount_minor=700, currency="USD", transaction_id="pay_dream",
        state=Charge.State.SUCCEEDED, settled_at=timezone.now(),
    )  # fmt: skip
    execute("UPDATE payments_charge SET amount_minor = 9900 WHERE id = %(id)s", {"id": charge.pk})
    assert found().examples == tuple(
        sorted(
            [
                f"charge {charge.pk} of order {shop.kept}: 99.00 USD captured, but 25.00 USD by the gateway's books",
                f"charge {ours.pk} of order {ours.order_id}: 7.00 USD captured, but the gateway knows no such payment",
            ]
        )
    )


def test_money_of_a_charge_that_is_over_is_found(shop: Shop, sandbox_gateway: InProcessGateway) -> None:
    """What was captured, or is still set aside, for a charge that we gave up."""
    execute("UPDATE payments_charge SET state = 'failed' WHERE order_id = %(kept)s", shop.names)
    pending = Charge.objects.create(
        order_id=shop.pending, flow="reserve_first", amount_minor=990, currency="USD", state=Charge.State.CANCELLED
    )
    name = authorized(sandbox_gateway, key=str(pending.pk))
    told = sorted(line.partition(": ")[2] for line in found().examples)
    assert told == [
        "cancelled, but 9.90 USD are still set aside there",
        "failed, but the gateway has captured 25.00 USD and not given it back",
    ]
    sandbox_gateway.bank.void(key="by hand", transaction_id=name)
    assert found().count == 1


def test_money_of_nobody_is_found(shop: Shop, sandbox_gateway: InProcessGateway) -> None:
    bank = sandbox_gateway.bank
    names = [authorized(sandbox_gateway, key=key) for key in ("no id at all", str(uuid.uuid4()), "third", "fourth")]
    for name in names[1:3]:
        bank.capture(key=f"{name}:capture", transaction_id=name, amount_minor=990)
    bank.refund(key="back", transaction_id=names[2], amount_minor=990)
    bank.void(key="void", transaction_id=names[3])
    assert sorted(differences()) == sorted((Review.Kind.ORPHAN_PAYMENT, name) for name in names[:2])
    assert {line.rpartition(": ")[2] for line in found().examples} == {
        "9.90 USD set aside, and no charge of ours", "9.90 USD captured, and no charge of ours",
    }  # fmt: skip


# -- What is under way ----------------------------------------------------------------------------------
@pytest.mark.parametrize("state", Charge.OPEN)
def test_a_charge_under_way_is_no_difference(
    shop: Shop, sandbox_gateway: InProcessGateway, state: Charge.State
) -> None:
    charge = Charge.objects.create(
        order_id=shop.pending, flow="reserve_first", amount_minor=990, currency="USD", state=state
    )
    assert differences() == []
    name = authorized(sandbox_gateway, key=str(charge.pk))
    assert differences() == []
    sandbox_gateway.bank.capture(key="capture", transaction_id=name, amount_minor=990)
    assert differences() == [], "its answer may be on its way"
    Charge.objects.filter(pk=charge.pk).update(amount_minor=1)
    assert differences() == [(Review.Kind.MISMATCH, str(charge.pk))], "that can never be right"


def test_a_refund_under_way_is_no_difference(shop: Shop, sandbox_gateway: InProcessGateway) -> None:
    charge = charge_of(shop.kept)
    refund = Refund.objects.create(charge=charge, amount_minor=500, reason="torn")
    assert differences() == []
    sandbox_gateway.bank.refund(key=str(refund.pk), transaction_id=charge.transaction_id, amount_minor=500)
    assert differences() == [], "its answer may be on its way"
    Refund.objects.filter(pk=refund.pk).update(state=Refund.State.SUCCEEDED)
    assert differences() == []
    Refund.objects.filter(pk=refund.pk).update(amount_minor=501)
    assert differences() == [(Review.Kind.MISMATCH, str(charge.pk))]


def test_only_what_lasts_is_a_difference(shop: Shop, sandbox_gateway: InProcessGateway) -> None:
    """What is mended between two looks was under way."""
    charge = charge_of(shop.kept)
    execute("UPDATE payments_charge SET amount_minor = 1 WHERE id = %(id)s", {"id": charge.pk})
    looks = []

    class Mending:
        """The gateway; while its books are read the second time, ours are put right."""

        def statement(self, **since: Any) -> Iterator[Payment]:
            looks.append(since)
            if len(looks) == 2:
                Charge.objects.filter(pk=charge.pk).update(amount_minor=charge.amount_minor)
            return sandbox_gateway.statement(**since)

    gateways.current().gateway = Mending()  # type: ignore[assignment]  # the rest of it is not asked
    assert (differences(), len(looks)) == ([], 2)


def test_what_has_just_been_settled_has_its_grace(shop: Shop) -> None:
    execute("UPDATE payments_charge SET amount_minor = 1 WHERE order_id = %(kept)s", shop.names)
    assert (found(grace_seconds=60).count, found().count) == (0, 1)
    Charge.objects.update(settled_at=timezone.now() - timedelta(seconds=61))
    assert found(grace_seconds=60).count == 1


def test_payments_at_work_cause_no_false_alarm(shop: Shop) -> None:
    placed: list[uuid.UUID] = []
    broker = testing.MemoryBroker()
    for _ in range(30):
        placed.append(place(shop.book, quantity=1))
        broker.advance(3)
        assert differences() == []
    broker.drain()
    assert differences() == []
    assert Charge.objects.filter(order_id__in=placed, state=Charge.State.SUCCEEDED).count() == 30


# -- Without the gateway ------------------------------------------------------------------------------------
def test_without_the_gateway_the_audit_goes_on(shop: Shop, sandbox_gateway: InProcessGateway) -> None:
    execute("UPDATE orders_order SET cancel_reason = ''", {})
    sandbox_gateway.server.outage.begin(60, "refuse")
    report = audit.run(grace_seconds=0, by="test", keep_reviews=True)
    assert [finding.name for finding in report.broken] == ["every cancelled order has a reason"]
    (told,) = (finding for finding in report.findings if finding.name == BOOKS)
    assert told.note.startswith("The gateway could not be asked: ")
    assert "not asked" in audit_command()[1]


def test_a_gateway_that_stalls_is_not_waited_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_TIMEOUT_SECONDS", 0.2)
    over = threading.Event()

    class Stalling:
        """Says nothing until the test is over."""

        def statement(self, **_: Any) -> Iterator[Payment]:
            over.wait(30)
            return iter(())

    gateways.current().gateway = Stalling()  # type: ignore[assignment]  # the rest of it is not asked
    started = time.monotonic()
    try:
        assert found().note == "The gateway could not be asked: no answer in time"
    finally:
        over.set()
    assert time.monotonic() - started < 5


# -- Reviews ----------------------------------------------------------------------------------------------------
def open_reviews() -> list[tuple[str, str]]:
    """Kinds and subjects of what needs a person."""
    return list(Review.objects.filter(closed_at=None).order_by("kind").values_list("kind", "subject"))


def test_the_timekeeper_opens_a_review_and_closes_it_when_it_is_gone(
    shop: Shop, sandbox_gateway: InProcessGateway, settings: Any
) -> None:
    settings.AUDIT_GRACE_SECONDS = 0
    charge = charge_of(shop.kept)
    stranger = authorized(sandbox_gateway, key="nobody")
    execute("UPDATE payments_charge SET amount_minor = 1 WHERE id = %(id)s", {"id": charge.pk})
    assert audit.run(grace_seconds=0, by="ada").broken
    assert open_reviews() == [], "an audit without keep_reviews opens none"
    for _ in range(2):
        jobs.audit_shop()
        assert open_reviews() == [("mismatch", str(charge.pk)), ("stranger", stranger)]
    review = Review.objects.get(kind="mismatch")
    assert (review.charge, review.order_id) == (charge, shop.kept)
    assert review.detail.endswith("0.01 USD captured, but 25.00 USD by the gateway's books")
    code, printed = audit_command()
    assert code == 1
    for words in (BOOKS, PERSON, "0.01 USD captured"):
        assert words in printed, words

    execute("UPDATE payments_charge SET amount_minor = 2500 WHERE id = %(id)s", {"id": charge.pk})
    sandbox_gateway.bank.void(key="void", transaction_id=stranger)
    jobs.audit_shop()
    assert open_reviews() == []
    assert set(Review.objects.values_list("closed_by", "note")) == {("", "the gateway's books and ours agree")}
    assert audit.run(grace_seconds=0, by="ada").is_clean


def test_what_a_person_has_settled_is_settled_until_something_else_is_wrong(
    shop: Shop, sandbox_gateway: InProcessGateway, settings: Any
) -> None:
    settings.AUDIT_GRACE_SECONDS = 0
    charge = charge_of(shop.kept)
    sandbox_gateway.bank.refund(key="by hand", transaction_id=charge.transaction_id, amount_minor=1000)
    jobs.audit_shop()
    reviews.close(review_id=Review.objects.get().pk, by="ada", note="given back by hand; the buyer had called")
    jobs.audit_shop()
    assert open_reviews() == []
    assert audit.run(grace_seconds=0, by="ada").is_clean
    sandbox_gateway.bank.refund(key="again", transaction_id=charge.transaction_id, amount_minor=100)
    jobs.audit_shop()
    assert open_reviews() == [("mismatch", str(charge.pk))]


def test_a_review_of_an_old_charge_is_looked_at_however_old_it_is(
    shop: Shop, sandbox_gateway: InProcessGateway, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AUDIT_GRACE_SECONDS = 0
    charge = charge_of(shop.kept)
    execute("UPDATE payments_charge SET amount_minor = 1 WHERE id = %(id)s", {"id": charge.pk})
    jobs.audit_shop()
    monkeypatch.setattr(gateway, "SPAN", timedelta(0))
    monkeypatch.setattr(gateway, "_CLOCK_SKEW", timedelta(0))
    jobs.audit_shop()
    assert open_reviews() == [("mismatch", str(charge.pk))]
    execute("UPDATE payments_charge SET amount_minor = 2500 WHERE id = %(id)s", {"id": charge.pk})
    jobs.audit_shop()
    assert open_reviews() == []


def test_an_outage_closes_nothing(shop: Shop, sandbox_gateway: InProcessGateway, settings: Any) -> None:
    settings.AUDIT_GRACE_SECONDS = 0
    stranger = authorized(sandbox_gateway, key="nobody")
    jobs.audit_shop()
    sandbox_gateway.server.outage.begin(60, "refuse")
    jobs.audit_shop()
    assert open_reviews() == [("stranger", stranger)]


def test_what_was_not_looked_at_stays_open(shop: Shop, settings: Any) -> None:
    """A payment that the statement no longer reaches back to may still be money of nobody."""
    settings.AUDIT_GRACE_SECONDS = 0
    reviews.open_review(kind=Review.Kind.ORPHAN_PAYMENT, subject="pay_of_last_week", detail="money of nobody")
    jobs.audit_shop()
    assert open_reviews() == [("stranger", "pay_of_last_week")]
