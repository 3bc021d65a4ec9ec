"""An order's dead letters on its admin page: which there are, and who did what to them."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from devtools.testing.bridge.bridge_events import cancelled, created
from devtools.testing.bridge.dead_letters import a_letter, parked
from devtools.testing.shop.orders import draft
from kafka_bridge.dead_letters import redriving
from kafka_bridge.models import DeadLetter, ParkedMessage
from kafka_bridge.wire import envelope
from orders.models import Order
from orders.placing import placement
from shop.models import AuditEntry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults, pytest.mark.security]


@pytest.fixture
def order() -> Order:
    """Just placed."""
    return Order.objects.get(pk=placement.place(draft()).order_id)


def page_of(client: Client, order: Order) -> str:
    return client.get(f"/admin/orders/order/{order.pk}/change/").content.decode()


def log() -> list[tuple[Any, ...]]:
    return list(AuditEntry.objects.order_by("id").values_list("who", "what", "subject", "order_id", "reason"))


def test_what_is_done_to_a_message_of_an_order_is_on_the_order(admin_client: Client, order: Order) -> None:
    """XC4: sent again, edited, discarded; by whom and why."""
    event = created(order.pk, total_minor=-5)
    edited, given_up = a_letter(event, group="analytics"), a_letter(cancelled(order.pk), group="payments")
    fields = json.loads(envelope.encode_body(event)) | {"total_minor": 500}
    DeadLetter.objects.filter(pk=edited.pk).update(group="inventory")
    admin_client.post(
        f"/admin/kafka_bridge/deadletter/{edited.pk}/edit/", {"body": json.dumps(fields), "reason": "the sign"}
    )
    admin_client.post("/admin/kafka_bridge/deadletter/act/discard/", {"letter": given_up.pk, "reason": "a forged one"})
    staff = User.objects.get().username
    assert log() == [
        (staff, "message edited", order.reference, order.pk, "the sign"),
        (staff, "message sent again", order.reference, order.pk, "the sign"),
        (staff, "message discarded", order.reference, order.pk, "a forged one"),
    ]
    entry = AuditEntry.objects.earliest("id")
    facts = {"event": "order.created", "group": "inventory", "letter": edited.pk}
    assert (entry.before, entry.after) == (
        facts | {"body": {"total_minor": -5}}, facts | {"body": {"total_minor": 500}},
    )  # fmt: skip
    page = page_of(admin_client, order)
    assert "message edited" in page
    assert "a forged one" in page
    assert admin_client.get("/admin/shop/auditentry/?what=message edited").status_code == 200


def test_a_command_is_logged_with_who_ran_it(order: Order) -> None:
    """XC4: who has no account is no buyer."""
    letter = a_letter(cancelled(order.pk), group="payments")
    call_command("dead_letters", "discard", str(letter.pk), "--by", "root@box", "--reason", "noise")
    assert log() == [("root@box", "message discarded", order.reference, order.pk, "noise")]
    assert AuditEntry.objects.get().user_id is None


def test_nothing_is_logged_of_what_is_not_done(order: Order) -> None:
    """XC4: the entry is committed with the act."""
    letter = a_letter(cancelled(order.pk), group="payments")
    DeadLetter.objects.filter(pk=letter.pk).update(state="discarded")
    redriving.discard(redriving.choose(), by="ada", reason="noise")
    assert log() == []


@pytest.mark.parametrize("key", ["unknown", "\x00k", "0b8f3c9e-1111-4c7e-9d57-0aa0a4a3a0a1", ""])
def test_a_letter_about_no_order_is_logged_as_well(key: str) -> None:
    letter = a_letter(headers={}, value=b"\xff" * 10)
    DeadLetter.objects.filter(pk=letter.pk).update(key=key.replace("\x00", "?"))
    redriving.discard(redriving.choose(), by="ada", reason="noise")
    [(_, _, subject, order_id, _)] = log()
    assert (subject, order_id) == (key.replace("\x00", "?") or f"dead letter {letter.pk}", None)


def test_a_malformed_message_about_an_order_is_on_its_page(admin_client: Client, client: Client, order: Order) -> None:
    """XC4: its key says so."""
    letter = a_letter(created(order.pk), headers={}, value=b"\xff", written_ms=1000)
    other = a_letter(created(), headers={}, value=b"\xff", written_ms=1000)
    page = page_of(admin_client, order)
    assert f"/admin/kafka_bridge/deadletter/{letter.pk}/change/" in page
    assert f"/admin/kafka_bridge/deadletter/{other.pk}/change/" not in page
    assert "Not an event" in page


def test_all_of_an_unknown_order_is_discarded_at_once(admin_client: Client) -> None:
    """XC6: and sending again, which would fail, is not the main button."""
    event = created()
    letter = a_letter(cancelled(event.order_id), group="notifications")
    parked(letter, event, event)
    address = f"/admin/kafka_bridge/deadletter/{letter.pk}/change/"
    assert "Discard all of this key…" in admin_client.get(address).content.decode()
    asked = f"/admin/kafka_bridge/deadletter/act/discard-key/?letter={letter.pk}"
    assert f"Given up, 3 of {letter.key} in all." in admin_client.get(asked).content.decode()
    admin_client.post(asked, {"letter": letter.pk, "reason": "no such order"})
    assert not ParkedMessage.objects.exists()
    assert list(DeadLetter.objects.values_list("state", flat=True)) == ["discarded"] * 3
    assert [entry[1] for entry in log()] == ["message discarded"] * 3


def test_an_empty_list_offers_no_new_item_where_nobody_can_make_one(admin_client: Client) -> None:
    """XC6: dead letters are made by groups, books by people."""
    letters = admin_client.get("/admin/kafka_bridge/deadletter/?q=nothing").content.decode()
    assert "Create a new item" not in letters
    assert "Add dead letter" not in letters
    assert "Reset search and filters" in letters
    assert "There is nothing yet." in admin_client.get("/admin/kafka_bridge/deadletter/").content.decode()
    assert "Add book" in admin_client.get("/admin/shop/book/").content.decode()
