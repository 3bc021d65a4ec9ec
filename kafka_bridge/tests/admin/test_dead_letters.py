"""Dead letters in the admin: who sees them, who may do what, and that each deed is asked for once."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from devtools.testing.bridge.bridge_events import cancelled, created
from devtools.testing.bridge.dead_letters import a_letter, age, parked
from kafka_bridge.models import DeadLetter, DeadLetterAct, ParkedMessage, UnknownEvent
from kafka_bridge.wire import envelope

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]
State = DeadLetter.State
LIST = "/admin/kafka_bridge/deadletter/"
KINDS = f"{LIST}kinds/"


def page_of(letter: DeadLetter) -> str:
    return f"{LIST}{letter.pk}/change/"


def act(name: str, **query: object) -> str:
    return f"{LIST}act/{name}/?" + "&".join(f"{key}={value}" for key, value in query.items())


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("-".join(permissions) or "nobody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def shown(client: Client, query: str = "") -> list[int]:
    response = client.get(LIST + query)
    assert response.status_code == 200
    return [row.pk for row in response.context["cl"].result_list]


# -- Who may ---------------------------------------------------------------------------------------------
def test_each_page_is_for_who_may_see_or_do_that(admin_client: Client, client: Client) -> None:
    letter = a_letter()
    everything = ("view_deadletter", "change_deadletter", "redrive_deadletter", "edit_deadletter")
    viewer, worker, outsider = staff("view_deadletter"), staff(*everything), staff()
    looking = [LIST, KINDS, page_of(letter)]
    doing = [act("redrive", letter=letter.pk), act("discard", kind=letter.fingerprint), f"{LIST}{letter.pk}/edit/"]
    for page in looking:
        seen = [c.get(page).status_code for c in (admin_client, worker, viewer, outsider, client)]
        assert seen == [200, 200, 200, 403, 302], page
    for page in doing:
        for method in ("get", "post"):
            seen = [getattr(c, method)(page).status_code for c in (viewer, outsider, client)]
            assert seen == [403, 403, 302], (page, method)
        assert worker.get(page).status_code == 200
    assert "Send again…" not in viewer.get(page_of(letter)).content.decode()
    assert "Send all again…" not in viewer.get(KINDS).content.decode()
    assert "redrive_selected" not in viewer.get(LIST).content.decode()
    assert (DeadLetter.objects.get().state, DeadLetterAct.objects.count()) == (State.PARKED, 0)


def test_nobody_edits_or_deletes_the_facts(admin_client: Client) -> None:
    letter = a_letter()
    assert admin_client.post(page_of(letter), {"error": "none"}).status_code == 403
    assert admin_client.post(f"{LIST}{letter.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{LIST}add/").status_code == 403


# -- The list and the kinds --------------------------------------------------------------------------------
def test_letters_are_found_by_state_group_event_kind_age_and_key(admin_client: Client) -> None:
    first, second, third = a_letter(), a_letter(cancelled(), error="KeyError: 'tax'"), a_letter(group="orders")
    age(first, hours=30)
    for letter in (second, third):
        age(letter, minutes=1)
    DeadLetter.objects.filter(pk=third.pk).update(state=State.DISCARDED)
    assert shown(admin_client) == [third.pk, second.pk, first.pk]
    for query, expected in (
        ("?state__exact=parked", [second.pk, first.pk]),
        ("?group=orders", [third.pk]),
        ("?type=order.cancelled", [second.pk]),
        (f"?kind={second.fingerprint}", [second.pk]),
        ("?kind=no-such-kind", []),
        ("?hours=24", [first.pk]),
        (f"?q={second.key}", [second.pk]),
        (f"?q={third.event_id}", [third.pk]),
        ("?q=nothing", []),
    ):
        assert shown(admin_client, query) == expected, query
    page = admin_client.get(LIST).content.decode()
    assert "2 messages wait for a person." in page
    assert "KeyError: &#x27;tax&#x27;" in page


def test_kinds_are_shown_with_count_ages_and_an_example(admin_client: Client) -> None:
    letters = [a_letter(error=f"ValueError: {number} <b>") for number in range(3)]
    page = admin_client.get(KINDS).content.decode()
    assert "ValueError: 2 &lt;b&gt;" in page
    assert f"{page_of(letters[-1])}" in page
    assert f"kind={letters[0].fingerprint}" in page
    assert "3 messages wait for a person" in page


@pytest.mark.security
def test_what_would_only_fail_again_is_not_the_main_button_of_its_kind(admin_client: Client) -> None:
    """XC6."""
    a_letter()
    assert 'class="br-button" data-kind="main"' in admin_client.get(KINDS).content.decode()
    DeadLetter.objects.all().delete()
    a_letter(error="Malformed: header 'ce_type' is missing")
    page = admin_client.get(KINDS).content.decode()
    assert "Send all again" in page
    assert 'class="br-button" data-kind="main"' not in page


def test_events_that_were_passed_over_are_shown_beside_the_kinds(admin_client: Client) -> None:
    """XE2: they are no dead letters, but people can see them."""
    assert "passed over" not in admin_client.get(KINDS).content.decode()
    UnknownEvent.objects.create(group="orders", type="order.<b>", version="7", count=1234)
    page = admin_client.get(KINDS).content.decode()
    assert "order.&lt;b&gt;" in page
    assert "1,234" in page


def test_the_list_asks_as_often_for_many_rows_as_for_one(admin_client: Client) -> None:
    a_letter()
    for path in (LIST, KINDS):
        with CaptureQueriesContext(connection) as few:
            admin_client.get(path)
        for number in range(20):
            a_letter(error=f"ValueError: {number}")
        with CaptureQueriesContext(connection) as many:
            admin_client.get(path)
        assert len(many) == len(few) <= 8, path


# -- The page of one -----------------------------------------------------------------------------------------
def test_the_page_shows_all_about_a_letter(admin_client: Client) -> None:
    event = created()
    letter = a_letter(event, error="ValueError: <script>alert(1)</script>")
    parked(letter, cancelled(event.order_id))
    page = admin_client.get(page_of(letter)).content.decode()
    for words in (
        "&lt;script&gt;alert(1)", "orders.handlers.mail", "Traceback: here", "&quot;total_minor&quot;: 1250",
        "ce_type", "tried 3 times", "There is no such order", "1 message waits", "What waits behind it",
        "Discard and release…", f"/admin/orders/order/{event.key}/change/",
    ):  # fmt: skip
        assert words in page, words
    assert "<script>alert(1)" not in page


def test_what_is_no_event_is_shown_all_the_same(admin_client: Client) -> None:
    letter = a_letter(headers={}, value=b"\x00\xff not json")
    page = admin_client.get(page_of(letter)).content.decode()
    assert "Not an event" in page
    assert "not json" in page
    assert "Edit and send again…" not in page
    assert admin_client.get(f"{LIST}99999/change/").status_code == 302
    assert admin_client.get(f"{LIST}abc/change/").status_code == 302


# -- Deeds -----------------------------------------------------------------------------------------------------
def test_one_is_sent_again_after_one_question(admin_client: Client) -> None:
    letter = a_letter(cancelled())
    head, *_ = parked(letter)
    asked = admin_client.get(act("redrive", letter=letter.pk)).content.decode()
    assert "would change nothing" in asked
    assert DeadLetter.objects.get().state == State.PARKED, "asking does nothing"
    refused = admin_client.post(act("redrive"), {"letter": letter.pk, "reason": ""})
    assert (refused.status_code, DeadLetter.objects.get().state) == (200, State.PARKED)

    done = admin_client.post(act("redrive"), {"letter": letter.pk, "reason": "mended"})
    assert done.headers["Location"] == page_of(letter)
    assert DeadLetter.objects.get().state == State.REDRIVEN
    assert ParkedMessage.objects.get(pk=head.pk).state == ParkedMessage.State.RETRYING
    assert list(DeadLetterAct.objects.values_list("who", "what", "reason")) == [("admin", "redriven", "mended")]
    page = admin_client.get(page_of(letter)).content.decode()
    assert "1 letter sent again." in page
    assert "Redriven</strong> by admin" in page


def test_all_of_a_kind_with_a_cap_and_a_pace(admin_client: Client) -> None:
    letters = [a_letter(error=f"ValueError: {number}") for number in range(5)]
    other = a_letter(error="KeyError: 'x'")
    form = {"kind": letters[0].fingerprint, "reason": "mended", "cap": "3", "per_second": "2"}
    done = admin_client.post(act("redrive"), form, follow=True)
    redriven = DeadLetter.objects.filter(state=State.REDRIVEN).order_by("id")
    assert [letter.pk for letter in redriven] == [letter.pk for letter in letters[:3]]
    due = [letter.send_at for letter in redriven if letter.send_at]
    assert round((due[2] - due[0]).total_seconds(), 3) == 1.0
    assert "2 letters beyond the cap" in done.content.decode()
    admin_client.post(act("discard"), {"kind": other.fingerprint, "reason": "noise", "cap": "10"})
    assert DeadLetter.objects.get(pk=other.pk).state == State.DISCARDED


@pytest.mark.parametrize(("action", "state"), [("redrive", State.REDRIVEN), ("discard", State.DISCARDED)])
def test_selected_ones_are_done_after_one_question(admin_client: Client, action: str, state: str) -> None:
    letters = [a_letter() for _ in range(3)]
    chosen = {"action": f"{action}_selected", "_selected_action": [letter.pk for letter in letters[:2]]}
    question = admin_client.post(LIST, chosen)
    assert question.status_code == 200
    assert DeadLetter.objects.filter(state=State.PARKED).count() == 3
    form: dict[str, Any] = {"letter": [letter.pk for letter in letters[:2]], "reason": "r", "cap": "2"}
    admin_client.post(act(action), form | {"per_second": "10"})
    assert dict(DeadLetter.objects.values_list("pk", "state")) == {
        letters[0].pk: state, letters[1].pk: state, letters[2].pk: State.PARKED,
    }  # fmt: skip


@pytest.mark.parametrize(
    "path", [act("redrive"), act("redrive", letter="x"), act("burn", letter=1), f"{LIST}99999/edit/"]
)
def test_nothing_is_done_to_nothing(admin_client: Client, path: str) -> None:
    a_letter()
    assert admin_client.get(path).status_code == 404
    assert DeadLetterAct.objects.count() == 0


def test_edited_and_sent_again(admin_client: Client) -> None:
    event = created(total_minor=-1)
    letter = a_letter(event)
    path = f"{LIST}{letter.pk}/edit/"
    assert "&quot;total_minor&quot;: -1" in admin_client.get(path).content.decode()
    fields = json.loads(envelope.encode_body(event))
    wrong = admin_client.post(path, {"body": json.dumps(fields | {"total_minor": "x"}), "reason": "typo"})
    assert "Expected `int`, got `str`" in wrong.content.decode()
    assert DeadLetter.objects.get().state == State.PARKED

    admin_client.post(path, {"body": json.dumps(fields | {"total_minor": 5}), "reason": "typo"})
    letter.refresh_from_db()
    assert letter.edited_value is not None
    assert (letter.state, json.loads(bytes(letter.edited_value))["total_minor"]) == (State.REDRIVEN, 5)
    page = admin_client.get(page_of(letter)).content.decode()
    assert "Body as edited" in page
    assert "&quot;total_minor&quot;: -1" in page, "the original stays"
    assert list(letter.acts.values_list("what", flat=True)) == ["edited", "redriven"]


def test_the_start_page_counts_what_waits(admin_client: Client) -> None:
    a_letter()
    figures = {figure.title: figure for figure in admin_client.get("/admin/").context["shop"].figures}
    assert (figures["Dead letters"].value, figures["Dead letters"].is_alarming) == ("1", True)
