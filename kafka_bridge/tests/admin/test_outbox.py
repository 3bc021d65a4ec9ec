"""The outbox in the admin: read-only, quick on a big table, and honest about who has had what."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.paginator import Page
from django.db import connection, transaction
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from devtools.testing.bridge.bridge_events import cancelled, created, delivered
from events import catalogue
from kafka_bridge import admin, testing
from kafka_bridge.models import InboxRow, OutboxRow
from kafka_bridge.publishing import outbox
from kafka_bridge.wire.events import Event

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/kafka_bridge/outboxrow/"


def state(*events: Event) -> list[OutboxRow]:
    """These facts, each as its row."""
    with transaction.atomic():
        outbox.publish(*events)
    return list(OutboxRow.objects.order_by("id"))[-len(events) :]


def shown(client: Client, query: str = "") -> list[str]:
    """The keys of the rows in the list, as it shows them."""
    response = client.get(LIST + query)
    assert response.status_code == 200
    return [row.key for row in response.context["cl"].result_list]


def test_only_who_may_view_the_outbox_sees_it(admin_client: Client, client: Client) -> None:
    (row,) = state(created())
    page = f"{LIST}{row.pk}/change/"
    assert (admin_client.get(LIST).status_code, admin_client.get(page).status_code) == (200, 200)
    assert (client.get(LIST).status_code, client.get(page).status_code) == (302, 302)


def test_nobody_edits_it(admin_client: Client) -> None:
    (row,) = state(created())
    before = OutboxRow.objects.values().get()
    assert admin_client.post(f"{LIST}{row.pk}/change/", {"type": "order.delivered"}).status_code == 403
    assert admin_client.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert OutboxRow.objects.values().get() == before


def test_rows_are_found_by_relay_topic_event_key_and_event_id(admin_client: Client) -> None:
    first, second, third = state(created(), delivered(), cancelled())
    OutboxRow.objects.filter(pk=first.pk).update(published_at=first.created_at, partition=1, offset=7)

    assert shown(admin_client) == [third.key, second.key, first.key]
    assert shown(admin_client, "?relay=waiting") == [third.key, second.key]
    assert shown(admin_client, "?relay=published") == [first.key]
    assert shown(admin_client, "?topic=payments.events") == []
    assert shown(admin_client, "?topic=orders.events&type=order.delivered") == [second.key]
    assert shown(admin_client, f"?q={first.key}") == [first.key]
    assert shown(admin_client, f"?q={third.event_id}") == [third.key]
    assert shown(admin_client, f"?q={uuid4()}") == []
    assert shown(admin_client, "?q=no+id") == []


def test_the_list_says_where_rows_lie_and_what_waits(admin_client: Client) -> None:
    published, waiting = state(created(), created())
    OutboxRow.objects.filter(pk=published.pk).update(published_at=published.created_at, partition=1, offset=7)
    OutboxRow.objects.filter(pk=waiting.pk).update(created_at=F("created_at") - timedelta(minutes=5))

    page = admin_client.get(LIST).content.decode()
    assert "orders.events · 1 · 7" in page
    assert "waits for the relay, 5 min" in page
    assert "1 event waits for the relay" in page
    assert f"/admin/orders/order/{waiting.key}/change/" in page


def test_the_backlog_is_counted_with_its_oldest_row(admin_client: Client) -> None:
    assert admin.backlog() == admin.Backlog(rows=0, oldest=None)
    assert "Nothing waits for the relay" in admin_client.get(LIST).content.decode()
    old, _ = state(created(), created())
    OutboxRow.objects.filter(pk=old.pk).update(created_at=F("created_at") - timedelta(hours=3))
    found = admin.backlog()
    assert (found.rows, found.age) == (2, "3 h")


def test_a_row_says_who_has_had_it_and_who_has_not(admin_client: Client) -> None:
    for flow, wanted, other in (("reserve_first", "inventory", "payments"), ("payment_first", "payments", "inventory")):
        (row,) = state(created(flow=flow))
        assert [(h.group, h.handled_at, h.is_wanted) for h in admin.hearings([row])[row.event_id]] == [
            ("analytics", None, True),
            (wanted, None, True),
        ]
        for group in ("analytics", wanted, other):
            InboxRow.objects.create(group=group, event_id=row.event_id, topic=row.topic, partition=0, offset=0)
        found = admin.hearings([row])[row.event_id]
        assert [(h.group, h.handled_at is not None, h.is_wanted) for h in found] == [
            ("analytics", True, True),
            (wanted, True, True),
            (other, True, False),
        ]
        page = admin_client.get(f"{LIST}{row.pk}/change/").content.decode()
        assert "not concerned" in page
        assert "not yet" not in page


def test_a_row_shows_its_body_and_its_cause(admin_client: Client) -> None:
    event = created()
    first, second = state(event, cancelled(event.order_id))
    OutboxRow.objects.filter(pk=second.pk).update(causation_id=first.event_id)
    page = admin_client.get(f"{LIST}{second.pk}/change/").content.decode()
    assert "&quot;reason&quot;: &quot;test&quot;" in page
    assert f'{LIST}{first.pk}/change/">order.created</a>' in page


def test_an_event_that_this_code_does_not_know_is_shown_all_the_same(admin_client: Client) -> None:
    OutboxRow.objects.create(
        event_id=uuid4(), topic="orders.events", key="k", type="order.renamed", version=9, correlation_id=uuid4(),
        traceparent="", body=b"not json",
    )  # fmt: skip
    row = OutboxRow.objects.get()
    assert admin.hearings([row]) == {row.event_id: []}
    assert "not json" in admin_client.get(f"{LIST}{row.pk}/change/").content.decode()


def test_the_list_asks_as_often_for_many_rows_as_for_one(admin_client: Client) -> None:
    state(created())
    with CaptureQueriesContext(connection) as few:
        admin_client.get(LIST)
    state(*(created() for _ in range(30)))
    with CaptureQueriesContext(connection) as many:
        admin_client.get(LIST)
    assert len(many) == len(few) <= 7


def test_counting_stops_at_the_limit(admin_client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO kafka_bridge_outboxrow
                (event_id, topic, key, type, version, correlation_id, traceparent, body, published_at)
            SELECT gen_random_uuid(), 'orders.events', 'k', 'order.delivered', 1, gen_random_uuid(), '', '{}', now()
            FROM generate_series(1, %s)
            """,
            [admin.COUNT_LIMIT + 50],
        )
    paginator = admin.CappedPaginator(OutboxRow.objects.order_by("-id"), 100)
    last: Page[OutboxRow] = paginator.page(paginator.num_pages)
    assert (paginator.count, paginator.is_capped, paginator.num_pages, len(last)) == (10_000, True, 100, 100)
    page = admin_client.get(LIST).content.decode()
    assert "more than 10,000 outbox rows" in page


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 ms"), (0.34, "340 ms"), (1.44, "1.4 s"), (12, "12 s"), (300, "5 min"), (10_800, "3 h"), (172_800, "2 d")],
)
def test_spans_of_time_are_said_in_one_unit(seconds: float, words: str) -> None:
    assert admin.as_age(timedelta(seconds=seconds)) == words


def test_every_event_of_the_catalogue_has_a_choice(admin_client: Client) -> None:
    page = admin_client.get(LIST).content.decode()
    for event in catalogue.EVENTS:
        assert f"type={event.TYPE}" in page
    assert testing.stated() == []
