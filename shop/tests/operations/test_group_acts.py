"""E12: the forms of the operations page for what people do to consumer groups."""

from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.kafka_logs import member, put
from devtools.testing.shop.admin_desk import text_of, told
from kafka_bridge.consuming import controls
from kafka_bridge.models import GroupControl
from kafka_bridge.replaying import offsets
from kafka_bridge.runtime import clients
from shop.models import AuditEntry
from shop.site import one_time_forms

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.operations]
GROUP, TOPIC = "notifications", "orders.events"
WHY: dict[str, Any] = {"who": "ada", "reason": "the carrier is on strike"}


@pytest.fixture
def operator() -> Client:
    """Somebody of staff who may have groups do things, and see what was done."""
    user = User.objects.create_user("olga", is_staff=True)
    names = ["control_groups", "view_groupcontrol"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def send(client: Client, act: str, **data: Any) -> Any:
    """Send the form, and see where it leads."""
    return client.post(f"/admin/operations/{act}/", {"reason": "a strike"} | data, follow=True)


def test_a_group_is_paused_and_resumed_and_the_log_says_who_and_why(operator: Client) -> None:
    form = text_of(operator.get("/admin/operations/pause/?group=shipping"))
    assert "It stands still within 3 seconds" in form and "Nothing." in form
    done = send(operator, "pause", group="shipping", topic=TOPIC, partition="1")
    assert told(done) == ["shipping in orders.events[1] is paused; its members notice within 3 seconds."]
    [pause] = controls.current()
    assert (str(controls.place_of(pause)), pause.who, pause.reason) == (
        "shipping in orders.events[1]",
        "olga",
        "a strike",
    )
    assert "shipping in orders.events[1]" in text_of(operator.get("/admin/operations/resume/"))

    again = send(operator, "pause", group="shipping", topic=TOPIC, partition="1")
    assert "shipping in orders.events[1] is paused already, by olga: a strike" in text_of(again)
    send(operator, "resume", group="shipping", topic=TOPIC, partition="1")
    assert controls.current() == []
    entries = AuditEntry.objects.order_by("id").values_list("who", "what", "subject", "reason")
    assert list(entries) == [
        ("olga", what, "shipping in orders.events[1]", "a strike") for what in ("group paused", "group resumed")
    ]


def test_a_partition_of_a_paused_group_says_that_the_group_is_paused(operator: Client) -> None:
    controls.pause(group="shipping", **WHY)
    place: dict[str, str] = {"group": "shipping", "topic": TOPIC, "partition": "1"}
    refused = text_of(send(operator, "resume", **place))
    assert "because the whole group is paused by ada: the carrier is on strike. Resume that." in refused
    send(operator, "pause", **place)
    [said] = told(send(operator, "resume", **place))
    assert said.endswith("stands still all the same: the whole group is paused by ada: the carrier is on strike")
    assert len(controls.current()) == 1


def test_a_member_is_asked(operator: Client) -> None:
    form = operator.get("/admin/operations/rejoin/?group=shipping&member=shipping-3f2a").content.decode()
    assert 'value="shipping-3f2a"' in form
    send(operator, "rejoin", group="shipping", member="shipping-3f2a")
    [row] = GroupControl.objects.all()
    assert (row.kind, row.group, row.member_id, row.who) == ("rejoin", "shipping", "shipping-3f2a", "olga")


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_offsets_are_reset_as_they_were_shown_and_not_while_the_group_runs(operator: Client) -> None:
    put(created(), created(), partition=1)
    query = {"group": GROUP, "topic": TOPIC, "partition": "1", "to": "end"}
    address = f"/admin/operations/reset/?{urlencode(query)}"
    meant = {"then": "1:2", "reason": "poisoned", "skip": "on"}
    with member(GROUP, TOPIC):
        assert "Stop them first." in text_of(operator.get(address))
        assert "Stop them first." in text_of(operator.post(address, meant))
    page = operator.get(address)
    assert "0 messages read again, <strong>2</strong> never handled." in text_of(page)
    assert 'name="then" value="1:2"' in page.content.decode()

    refused = operator.post(address, {"then": "1:2", "reason": "poisoned"})
    assert "2 messages would never be handled by notifications" in text_of(refused)
    assert "not any more as it was shown" in text_of(operator.post(address, meant | {"then": "1:9"}))
    put(created(), partition=1)
    once = meant | {one_time_forms.FIELD: str(uuid4())}
    for _ in range(2):
        assert told(operator.post(address, once, follow=True))[0].startswith("notifications goes on from there")
    assert offsets.committed_offsets(GROUP, [(clients.topic_name(TOPIC), 1)]) == {(clients.topic_name(TOPIC), 1): 2}
    [entry] = AuditEntry.objects.all()
    assert (entry.who, entry.what, entry.reason, entry.after) == ("olga", "offsets reset", "poisoned", {"1": 2})


def test_a_place_that_makes_no_sense_is_said_at_the_form(operator: Client) -> None:
    query = {"group": GROUP, "topic": TOPIC, "partition": "", "to": "yesterday"}
    page = text_of(operator.get(f"/admin/operations/reset/?{urlencode(query)}"))
    assert "'yesterday' is no place in a topic" in page


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"group": "nobody"}, "Select a valid choice"),
        ({"group": "shipping", "topic": "payments.events"}, "shipping does not hear payments.events"),
        ({"group": "shipping", "partition": "1"}, "of a topic that is named"),
        ({"group": "shipping", "reason": " "}, "This field is required"),
    ],
)
def test_what_makes_no_sense_is_said_at_the_form(operator: Client, data: dict[str, str], words: str) -> None:
    assert words in text_of(send(operator, "pause", **data))
    assert not GroupControl.objects.exists()


@pytest.mark.security
@pytest.mark.parametrize("act", ["pause", "resume", "rejoin", "reset"])
def test_only_who_may_control_groups_and_no_other_site(operator: Client, act: str) -> None:
    outsider = Client()
    outsider.force_login(User.objects.create_user("sam", is_staff=True))
    address = f"/admin/operations/{act}/"
    assert outsider.get(address).status_code == outsider.post(address, {"group": "shipping"}).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.cookies.update(operator.cookies)
    assert strict.post(address, {"group": "shipping", "reason": "x"}).status_code == 403
    assert not GroupControl.objects.exists()


@pytest.mark.security
@pytest.mark.parametrize("act", ["pause", "resume", "rejoin", "reset"])
def test_what_an_address_says_is_checked(operator: Client, act: str) -> None:
    strange = "<script>alert(1)</script>\0"
    query = {
        "group": strange,
        "topic": strange,
        "partition": "9" * 30,
        "member": "m" * 10_000 if act == "rejoin" else "",
    }
    page = operator.get(f"/admin/operations/{act}/?{urlencode(query)}")
    assert page.status_code == 200
    html = page.content.decode()
    assert "alert(1)" not in html and "9" * 30 not in html and "m" * 300 not in html
