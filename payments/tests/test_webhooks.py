"""What payments makes of a genuine webhook; the address at which they come in is the shop's."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from events import catalogue
from kafka_bridge import testing
from payments import webhooks
from payments.gateways import NotGenuine, WebhookEvent
from payments.models import Charge, GatewayNotice, Review

pytestmark = [pytest.mark.money, pytest.mark.django_db(transaction=True)]
AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def a_charge(transaction_id: str = "") -> Charge:
    return Charge.objects.create(
        order_id=uuid4(), flow="payment_first", amount_minor=1999, currency="USD", payment_method="pm_success",
        transaction_id=transaction_id,
    )  # fmt: skip


def an_event(**changes: Any) -> WebhookEvent:
    given = {"event_id": "evt_1", "kind": "payment.captured", "transaction_id": "pi_1", "key": "", "at": AT}
    return WebhookEvent(**{**given, **changes})


def receive(event: WebhookEvent, body: bytes = b"{}") -> bool:
    with transaction.atomic():
        return webhooks.receive(event=event, body=body)


def test_it_needs_a_transaction() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        webhooks.receive(event=an_event(), body=b"{}")


def test_our_key_finds_it_before_the_gateways_name_does() -> None:
    """The name may stand at another charge only where something is wrong; then a person looks."""
    ours, other = a_charge(), a_charge("pi_1")
    assert receive(an_event(key=str(ours.pk)))
    assert receive(an_event(event_id="evt_2"))
    assert dict(GatewayNotice.objects.values_list("event_id", "charge")) == {"evt_1": ours.pk, "evt_2": other.pk}
    assert [event.key for event in testing.stated(catalogue.PaymentNotified)] == [
        str(ours.order_id), str(other.order_id)
    ]  # fmt: skip
    assert not Review.objects.exists()


@pytest.mark.parametrize("key", ["", "x", "'; --", str(UUID(int=7))])
def test_a_orphan(key: str) -> None:
    a_charge("pi_2")
    assert receive(an_event(key=key))
    assert GatewayNotice.objects.get().charge is None
    assert testing.stated() == []
    assert Review.objects.get().subject == "pi_1"


@pytest.mark.parametrize(("transaction_id", "subject"), [("", "the-key"), ("pi_1", "pi_1")])
def test_an_orphan_payment_has_a_name(transaction_id: str, subject: str) -> None:
    receive(an_event(transaction_id=transaction_id, key="the-key"))
    assert Review.objects.get().subject == subject


def test_no_charge_is_found_by_no_name() -> None:
    """A charge that is not authorized yet has no name at the gateway: an empty one is not its."""
    a_charge("")
    receive(an_event(transaction_id=""))
    assert GatewayNotice.objects.get().charge is None


def test_what_came_is_kept_word_for_word() -> None:
    body = '{"a":  "ü\\u0000"}'.encode()
    receive(an_event(), body)
    notice = GatewayNotice.objects.get()
    assert (notice.body, notice.happened_at, notice.kind) == (body.decode(), AT, "payment.captured")


def test_bytes_that_postgresql_cannot_keep() -> None:
    receive(an_event(), b"\xff\x00{}")
    assert GatewayNotice.objects.get().body == "\ufffd{}"


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": ""}, {"event_id": "e" * 121}, {"kind": "k" * 81}, {"transaction_id": "t\0"},
        {"event_id": "\ud800"}, {"kind": "payment.\x1b[31m"}, {"transaction_id": "t\r\nBcc: a@b.example"},
    ],
)  # fmt: skip
def test_what_cannot_be_stored_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(NotGenuine):
        receive(an_event(**changes))


def test_it_rolls_back_with_the_rest() -> None:
    charge = a_charge()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        webhooks.receive(event=an_event(key=str(charge.pk)), body=b"{}")
        raise ZeroDivisionError
    assert not GatewayNotice.objects.exists()
    assert testing.stated() == []
    assert receive(an_event(key=str(charge.pk))), "so the gateway's next attempt is new"
