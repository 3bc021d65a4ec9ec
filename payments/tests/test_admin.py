"""Charges and refunds in the admin."""

from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from payments.models import Charge, Refund

pytestmark = pytest.mark.django_db(transaction=True)
CHARGES, REFUNDS = "/admin/payments/charge/", "/admin/payments/refund/"


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
