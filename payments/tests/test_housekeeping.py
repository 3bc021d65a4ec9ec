"""Webhooks are kept for as long as they may be needed, and then they go."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from kafka_bridge.runtime import housekeeping
from payments import webhooks
from payments.gateways import WebhookEvent
from payments.models import Charge, ChargeEntry, GatewayNotice

pytestmark = [pytest.mark.money, pytest.mark.django_db(transaction=True)]
TABLE = "payments_gatewaynotice"


def receive(number: int, charge: Charge) -> bool:
    """A webhook about this charge; whether it is news."""
    event = WebhookEvent(
        event_id=f"evt_{number}", kind="captured", transaction_id="", key=str(charge.pk), at=timezone.now()
    )
    with transaction.atomic():
        return webhooks.receive(event=event, body=b"{}")


@pytest.fixture
def charge() -> Charge:
    """A charge of some order."""
    return Charge.objects.create(
        order_id="018f5f3e-0000-7000-8000-000000000000", flow="payment_first", amount_minor=1999, currency="USD",
        payment_method="pm_success",
    )  # fmt: skip


def test_old_webhooks_go_and_the_books_stay(charge: Charge, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAILURES 26: one that may be sent again is known."""
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    for number, days in enumerate((100, 95, 91, 89, 1)):
        receive(number, charge)
        GatewayNotice.objects.filter(event_id=f"evt_{number}").update(received_at=timezone.now() - timedelta(days=days))
    ChargeEntry.objects.create(charge=charge, what="captured", state="succeeded", at=timezone.now() - timedelta(9999))
    assert housekeeping.prune(dry_run=True)[TABLE] == 3
    assert housekeeping.prune()[TABLE] == 3
    assert set(GatewayNotice.objects.values_list("event_id", flat=True)) == {"evt_3", "evt_4"}
    assert not receive(3, charge)
    assert ChargeEntry.objects.count() == 1


@pytest.mark.parametrize(("days", "found"), [(37, []), (36, ["kafka_bridge.E004"])])
def test_webhooks_outlive_the_messages_about_them(days: int, found: list[str], settings: Any) -> None:
    settings.KEEP_WEBHOOKS_DAYS = days
    assert [message.id for message in housekeeping.check_retention()] == found
