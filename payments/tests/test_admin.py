"""Charges and refunds in the admin."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments.admin import messages
from payments.models import Charge, ChargeEntry, GatewayNotice, Refund, Review

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]
CHARGES, REFUNDS = "/admin/payments/charge/", "/admin/payments/refund/"
NOTICES = "/admin/payments/gatewaynotice/"


def taken(number: int = 1) -> list[Charge]:
    """So many charges that succeeded and are to go back."""
    charges = [
        Charge.objects.create(
            order_id=uuid4(), flow="reserve_first", amount_minor=123_450, currency="USD", payment_method="pm_success",
            state=Charge.State.SUCCEEDED, transaction_id=f"ch_{n}", attempts=1,
        )
        for n in range(number)
    ]  # fmt: skip
    for n, charge in enumerate(charges):
        Refund.objects.create(
            charge=charge, amount_minor=123_450, reason="out of stock", transaction_id=f"re_{n}", attempts=4,
            last_error="the gateway does not answer",
        )  # fmt: skip
    return charges


def found(client: Client, page: str, words: str) -> list[UUID]:
    """The ids of the rows that a search finds."""
    return [row.pk for row in client.get(page, {"q": words}).context["cl"].result_list]


def test_a_charge_is_shown_with_its_refunds_and_its_order(admin_client: Client, client: Client) -> None:
    (charge,) = taken()
    assert "1,234.50 USD" in admin_client.get(CHARGES).content.decode()
    page = f"{CHARGES}{charge.pk}/change/"
    shown = admin_client.get(page).content.decode()
    for words in ("ch_0", "re_0", "the gateway does not answer", f"/admin/orders/order/{charge.order_id}/change/"):
        assert words in shown
    assert (client.get(CHARGES).status_code, client.get(page).status_code) == (302, 302)


def test_a_refund_is_shown_with_its_charge_and_its_trouble(admin_client: Client) -> None:
    (charge,) = taken()
    shown = admin_client.get(f"{REFUNDS}{Refund.objects.get().pk}/change/").content.decode()
    for words in ("the gateway does not answer", "out of stock", f"{CHARGES}{charge.pk}/change/"):
        assert words in shown
    assert "the gateway does not answer" in admin_client.get(REFUNDS).content.decode()


def test_both_are_found_by_each_of_their_ids(admin_client: Client) -> None:
    first, second = taken(2)
    back = Refund.objects.get(charge=second)
    for words in (str(second.pk), str(second.order_id), "ch_1"):
        assert found(admin_client, CHARGES, words) == [second.pk]
    for words in (str(back.pk), str(second.order_id), "re_1"):
        assert found(admin_client, REFUNDS, words) == [back.pk]
    assert found(admin_client, CHARGES, "ch_") == []
    assert found(admin_client, CHARGES, "") == [second.pk, first.pk]


def test_nobody_edits_them(admin_client: Client) -> None:
    (charge,) = taken()
    for page in (f"{CHARGES}{charge.pk}/", f"{REFUNDS}{Refund.objects.get().pk}/"):
        assert admin_client.post(f"{page}change/", {"state": "failed"}).status_code == 403
        assert admin_client.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    assert Charge.objects.get().state == Charge.State.SUCCEEDED
    assert Refund.objects.get().state == Refund.State.REQUESTED


@pytest.mark.parametrize("page", [CHARGES, REFUNDS])
def test_the_lists_ask_as_often_for_many_rows_as_for_one(admin_client: Client, page: str) -> None:
    taken()
    with CaptureQueriesContext(connection) as few:
        admin_client.get(page)
    taken(20)
    with CaptureQueriesContext(connection) as many:
        admin_client.get(page)
    assert len(many) == len(few) <= 6


def test_every_state_has_a_colour_and_words() -> None:
    assert set(messages.CHARGE_COLOURS) == set(Charge.State)
    assert set(messages.REFUND_COLOURS) == set(Refund.State)
    for state in Charge.State:
        charge = Charge(state=state, next_attempt_at=timezone.now())
        assert bool(messages.waits(charge)) == bool(messages.asked_next(charge)) == (state in Charge.OPEN)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "requested"}, "The money has not been set aside yet. The gateway is asked to authorize it now."),
        (
            {"state": "requested", "attempts": 1, "cancel_requested": True},
            "The money has not been set aside yet. The gateway is asked to authorize it now, after 1 call. "
            "The order is over, so what gets set aside is let go.",
        ),
        (
            {"state": "action_required", "act_by": "later"},
            "The buyer has to confirm the payment at the bank until {later}. The gateway is asked whether the buyer "
            "has confirmed it now.",
        ),
        (
            {"state": "capturing", "attempts": 4, "next_attempt_at": "later", "last_error": "no answer",
             "unknown_since": "now", "cancel_requested": True},
            "Since {now} nobody knows whether the gateway did what it was asked. The gateway is asked to capture it at "
            "{later}, after 4 calls (no answer). The order is over, so what gets captured goes back at once.",
        ),
        (
            {"state": "voiding", "cancel_requested": True},
            "The charge is barred; what is set aside on the buyer's card is let go. The gateway is asked to let go of "
            "what is set aside now.",
        ),
        ({"state": "succeeded"}, ""),
    ],
)  # fmt: skip
def test_what_a_charge_waits_for_is_said_in_words(changes: dict[str, Any], words: str) -> None:
    now = timezone.now()
    times = {"now": now, "later": now + timedelta(seconds=40)}
    given = {"next_attempt_at": "now", **changes}
    charge = Charge(**{name: times.get(value, value) for name, value in given.items()})
    clocks = {name: messages._clock(at) for name, at in times.items()}
    assert messages.waits(charge) == words.format(**clocks)


def test_the_whole_history_of_a_charge_is_on_its_page(admin_client: Client) -> None:
    (charge,) = taken()
    other = Charge.objects.create(order_id=uuid4(), flow="reserve_first", amount_minor=1, currency="USD")
    for what in ("requested", "authorized", "capture unknown", "captured"):
        ChargeEntry.objects.create(
            charge=charge, what=what, state="capturing", amount_minor=123_450, detail=f"as {what}"
        )
    GatewayNotice.objects.create(
        event_id="evt_1", kind="payment.captured", charge=charge, body="{}", happened_at=timezone.now()
    )
    Review.objects.create(kind="unknown", subject=str(charge.pk), charge=charge, detail="no answer for an hour")
    page = admin_client.get(f"{CHARGES}{charge.pk}/change/").content.decode()
    places = [page.index(f"as {what}") for what in ("requested", "authorized", "capture unknown", "captured")]
    assert places == sorted(places)
    for words in ("evt_1", "payment.captured", "no answer for an hour", "re_0", "1,234.50 USD"):
        assert words in page, words
    bare = admin_client.get(f"{CHARGES}{other.pk}/change/").content.decode()
    for table in ("history", "refunds", "notices", "reviews"):
        assert (f'"{table}-group"' in page, f'"{table}-group"' in bare) == (True, False), table


def test_charges_are_narrowed_down_by_their_progress(admin_client: Client) -> None:
    def made(**changes: Any) -> UUID:
        given = {"flow": "reserve_first", "amount_minor": 100, "currency": "USD", **changes}
        return Charge.objects.create(order_id=uuid4(), **given).pk

    now = timezone.now()
    unknown = made(state="capturing", unknown_since=now)
    barred, voiding = made(cancel_requested=True), made(state="voiding")
    back, over = made(state="succeeded", refunded_minor=1), made(state="cancelled", cancel_requested=True)

    def shown(progress: str) -> set[UUID]:
        return {row.pk for row in admin_client.get(CHARGES, {"progress": progress}).context["cl"].result_list}

    assert shown("open") == {unknown, barred, voiding}
    assert (shown("unknown"), shown("barred"), shown("refunded")) == ({unknown}, {barred, voiding}, {back})
    assert over in shown("")


def test_webhooks_are_found_and_those_of_orphan_payments_apart(admin_client: Client) -> None:
    (charge,) = taken()
    now = timezone.now()
    known = GatewayNotice.objects.create(
        event_id="evt_1",
        kind="payment.captured",
        charge=charge,
        body='{"a": 1}',
        happened_at=now,
        transaction_id="ch_0",
    )
    strange = GatewayNotice.objects.create(
        event_id="evt_2", kind="payment.captured", body="<b>no json</b>", happened_at=now, transaction_id="ch_9"
    )

    def shown(**query: str) -> list[int]:
        return [row.pk for row in admin_client.get(NOTICES, query).context["cl"].result_list]

    assert shown() == [strange.pk, known.pk]
    assert (shown(charge_known="no"), shown(charge_known="yes")) == ([strange.pk], [known.pk])
    for words in ("evt_1", str(charge.pk), str(charge.order_id), "ch_0"):
        assert shown(q=words) == [known.pk], words
    assert shown(q="evt_2") == [strange.pk]
    page = admin_client.get(f"{NOTICES}{strange.pk}/change/").content.decode()
    assert "&lt;b&gt;no json&lt;/b&gt;" in page
    assert admin_client.post(f"{NOTICES}{known.pk}/change/", {"body": "x"}).status_code == 403
