"""XB6: a shop whose processes have least rights does all of its work, and each forbidden act is refused."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
import redis
from django.contrib.admin import site
from django.urls import reverse
from psycopg import errors

from devtools.local import roles
from devtools.testing.shop import buyers as buying
from devtools.testing.shop.buyers import Buyers
from devtools.testing.shop.secured_shop import ROLES, SecuredShop
from shop.operations.processes import redis_store

pytestmark = [pytest.mark.kafka, pytest.mark.security, pytest.mark.slow, pytest.mark.together]
REFUSALS = re.compile(
    r".*(?:permission denied|row-level security|NOPERM|NOAUTH|WRONGPASS|AUTHORIZATION_FAILED|_AUTHENTICATION).*"
)
OWNERS_ACTS = (
    "CREATE TABLE own (id int)",
    "DROP TABLE orders_order",
    "ALTER TABLE orders_order ADD own int",
    "TRUNCATE orders_order",
    "CREATE ROLE own",
    "SET session_replication_role = replica",
)
INTO_OUTBOX = (
    "INSERT INTO kafka_bridge_outboxrow (event_id, topic, key, type, version, correlation_id, traceparent, body) "
    "VALUES (gen_random_uuid(), %s, 'k', 'order.delivered', 1, gen_random_uuid(), '', '')"
)
INTO_INBOX = (
    'INSERT INTO kafka_bridge_inboxrow ("group", event_id, topic, partition, "offset") '
    "VALUES (%s, gen_random_uuid(), 'orders.events', 0, 0)"
)


@contextmanager
def database(shop: SecuredShop, role: str) -> Iterator["psycopg.Connection[Any]"]:
    """A session of that role whose changes are all rolled back."""
    with psycopg.connect(shop.database_url(role)) as connection:
        yield connection
        connection.rollback()


def is_refused(shop: SecuredShop, role: str, statement: str, *parameters: object) -> bool:
    """Whether PostgreSQL refuses the statement for lack of a right."""
    with database(shop, role) as connection:
        try:
            connection.execute(statement.encode(), parameters)
        except errors.InsufficientPrivilege:
            return True
        return False


def refusals(shop: SecuredShop) -> list[str]:
    """Lines of all roles' logs in which something was refused."""
    return [
        f"{role}: {line}"
        for role in shop.roles.names
        for line in REFUSALS.findall(shop.log(role).read_text(errors="replace"))
    ]


def test_xb6_orders_go_their_whole_way_and_no_role_is_refused_anything(shop: SecuredShop, settings: Any) -> None:
    buyers = Buyers(shop, buying.most_of(shop))
    buyers.order(6)
    buyers.order(3, card="pm_declined")
    shop.wait_until(lambda: buyers.statuses() == {"DELIVERED": 6, "CANCELLED": 3}, what="all at their end")
    assert refusals(shop) == []
    # Redis' own words for a refusal do not come through its client.
    settings.REDIS_URL = shop.redis_url("live", 3)
    shop.wait_until(lambda: {beat.role for beat in redis_store.read()} == set(ROLES), what="heartbeats of every role")
    assert {role for (role,) in shop.query("SELECT role FROM kafka_bridge_processheartbeat")} == set(ROLES)
    # The timekeeper sees processes, Kafka, PostgreSQL and Redis, and so does live.
    series = ["processes.present", "group.orders.lag", "outbox.rows", "redis.memory_bytes"]
    shop.wait_until(
        lambda: shop.query("SELECT 1 FROM shop_overviewsample WHERE jsonb_exists_all(averages, %s)", series),
        what="a sample with all sources",
    )
    assert "overview.collector" not in shop.log("live").read_text()


@pytest.mark.parametrize("role", ROLES)
def test_xb6_no_role_owns_anything_or_sees_accounts_it_has_no_use_for(role: str, shop: SecuredShop) -> None:
    for statement in OWNERS_ACTS:
        assert is_refused(shop, role, statement), statement
    with_accounts = {roles.WEB, roles.LIVE, roles.TIMEKEEPER}
    assert is_refused(shop, role, "SELECT password FROM auth_user") == (role not in with_accounts)


def test_xb6_a_group_changes_the_tables_of_its_own_app_only(shop: SecuredShop) -> None:
    tables = {
        "orders_order": {"orders", "shipping"},
        "orders_ordermail": {"orders", "shipping", "notifications"},
        "inventory_stock": {"inventory"},
        "payments_charge": {"payments"},
        "payments_refund": {"payments"},
        "shop_dailysales": {"analytics"},
        "kafka_bridge_deadletter": {"dead_letters"},
        "auth_user": set[str](),
    }
    for table, allowed in tables.items():
        delete = f"DELETE FROM {table} WHERE false"  # noqa: S608 - a name from above
        changing = {role for role in roles.group_names() if not is_refused(shop, role, delete)}
        assert changing == allowed, table


def test_xb6_facts_are_stated_by_those_only_who_may_change_what_they_are_about(shop: SecuredShop) -> None:
    owners = {
        "orders.events": {"orders", "shipping"},
        "inventory.events": {"inventory"},
        "payments.events": {"payments"},
    }
    for topic, allowed in owners.items():
        stating = {role for role in roles.group_names() if not is_refused(shop, role, INTO_OUTBOX, topic)}
        assert stating == allowed, topic
        assert not is_refused(shop, roles.WEB, INTO_OUTBOX, topic)


def test_xb6_web_ends_a_pause_and_changes_nothing_else_of_it(shop: SecuredShop) -> None:
    pause = "UPDATE kafka_bridge_groupcontrol SET"
    assert not is_refused(shop, roles.WEB, f"{pause} ended_at = now(), ended_by = 'ann', ended_because = 'over'")
    for statement in (f"{pause} who = 'ann'", f"{pause} reason = ''", "DELETE FROM kafka_bridge_groupcontrol"):
        assert is_refused(shop, roles.WEB, statement), statement


def test_xb6_a_group_notes_as_had_only_what_it_had_itself(shop: SecuredShop) -> None:
    assert not is_refused(shop, "orders", INTO_INBOX, "orders")
    assert is_refused(shop, "orders", INTO_INBOX, "payments")
    buyers = Buyers(shop, buying.most_of(shop))
    buyers.order(1)
    buyers.wait_for("DELIVERED")
    with database(shop, "orders") as connection:
        seen = connection.execute('SELECT DISTINCT "group" FROM kafka_bridge_inboxrow').fetchall()
    assert seen == [("orders",)]


def test_xb6_the_relay_notes_where_rows_lie_and_changes_nothing_else(shop: SecuredShop) -> None:
    assert not is_refused(shop, "relay", "UPDATE kafka_bridge_outboxrow SET published_at = now()")
    for statement in (
        "UPDATE kafka_bridge_outboxrow SET body = ''",
        "UPDATE kafka_bridge_outboxrow SET topic = 'orders.events'",
        "DELETE FROM kafka_bridge_outboxrow",
        "SELECT 1 FROM orders_order",
        "SELECT 1 FROM kafka_bridge_inboxrow",
    ):
        assert is_refused(shop, "relay", statement), statement
    assert is_refused(shop, "relay", INTO_OUTBOX, "orders.events")


@pytest.mark.parametrize(
    ("role", "database_number", "command"),
    [
        ("inventory", 1, ("GET", ":1:django.contrib.sessions.cached_dbx")),
        ("inventory", 2, ("FLUSHDB",)),
        ("inventory", 2, ("CONFIG", "GET", "*")),
        ("inventory", 3, ("PUBLISH", "bookrush__group__x", "news")),
        ("orders", 2, ("HSET", "{stock}:free", "x", "1")),
        ("orders", 3, ("SUBSCRIBE", "bookrush__group__x")),
        ("live", 2, ("HGET", "{stock}:free", "x")),
        ("live", 3, ("SUBSCRIBE", "elsewhere")),
        ("web", 1, ("FLUSHALL",)),
        ("web", 1, ("KEYS", "*")),
        ("web", 1, ("CLIENT", "KILL", "ID", "1")),
        ("timekeeper", 1, ("GET", ":1:x")),
        ("redis_exporter", 1, ("GET", ":1:x")),
    ],
)
def test_xb6_redis_refuses_what_a_role_has_no_use_for(
    role: str, database_number: int, command: tuple[str, ...], shop: SecuredShop
) -> None:
    with (
        redis.Redis.from_url(shop.redis_url(role, database_number)) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.execute_command(*command)


def test_xb6_redis_knows_nobody_without_a_password(shop: SecuredShop) -> None:
    with redis.Redis(unix_socket_path=str(shop.redis.socket)) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_xb6_staff_see_every_page_of_the_admin_and_change_what_they_may(shop: SecuredShop) -> None:
    with httpx.Client(base_url=shop.url, follow_redirects=True, timeout=60) as browser:
        sign_in(browser)
        pages = [reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist") for model in site._registry]
        answers = {page: browser.get(page).status_code for page in pages}
        group = {"name": "packers", "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        added = browser.post("/admin/auth/group/add/", data=group, headers={"Referer": shop.url})
    assert {page: status for page, status in answers.items() if status != 200} == {}
    assert "packers" in added.text
    assert refusals(shop) == []


def test_xb6_an_account_is_made_and_its_mail_is_sent(shop: SecuredShop) -> None:
    address = f"{uuid.uuid4().hex}@example.com"
    with httpx.Client(base_url=shop.url, follow_redirects=True, timeout=60) as browser:
        browser.get("/sign-up/")
        form = {"email": address, "password1": "Long-enough-17", "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        answer = browser.post("/sign-up/", data=form, headers={"Referer": shop.url})
    assert answer.url.path == "/sign-up/sent/"
    assert shop.query("SELECT verified FROM account_emailaddress WHERE email = %s", address) == [(False,)]
    sent = "SELECT count(*) FROM shop_accountmail"
    shop.wait_until(lambda: shop.query(sent) == [(0,)], what="the mail about the account")
    assert refusals(shop) == []


def test_xb6_what_is_given_up_is_stored_and_can_be_sent_again(shop: SecuredShop) -> None:
    key = uuid.uuid4().hex
    # As the owner: no role but web's and the timekeeper's may add such a row.
    shop.query(f"{INTO_OUTBOX} RETURNING 1".replace("'k'", f"'{key}'"), "orders.events")
    states = "SELECT state FROM kafka_bridge_deadletter WHERE key = %s GROUP BY state"
    shop.wait_until(lambda: shop.query(states, key) == [("parked",)], what="dead letters")
    redrive = "UPDATE kafka_bridge_deadletter SET state = 'redriven', send_at = now() WHERE key = %s RETURNING 1"
    shop.query(redrive, key)
    shop.wait_until(lambda: shop.query(states, key) == [("parked",)], what="dead letters that were sent again")
    assert refusals(shop) == []


def sign_in(browser: httpx.Client) -> None:
    """As the demo's administrator."""
    browser.get("/admin/login/")
    form = {"username": "admin", "password": "admin", "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    browser.post("/admin/login/", data=form, headers={"Referer": str(browser.base_url)})
