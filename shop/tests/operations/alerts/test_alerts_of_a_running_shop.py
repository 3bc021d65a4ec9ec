"""Alerts of a whole shop in which something really breaks: raised and cleared, and told once each."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.local.postgres import Postgres
from devtools.testing import http_receiver
from devtools.testing.http_receiver import HttpReceiver
from devtools.testing.processes import Shop
from devtools.testing.shop import mail_server as smtp
from devtools.testing.shop.buyers import CONTACT, Buyers, most_of
from devtools.testing.shop.mail_server import MailServer

pytestmark = [pytest.mark.kafka, pytest.mark.operations, pytest.mark.slow, pytest.mark.together]
SECRET = "of this test"
ON_CALL = "on-call@example.org"
EVALUATORS = ("timekeeper", "live")
TELLERS = (*EVALUATORS, "notifications")


@dataclass
class Watched:
    """A shop, and who is told."""

    shop: Shop
    hook: HttpReceiver
    mails: MailServer

    def told(self) -> Counter[tuple[str, str, str]]:
        """Alerts by name and subject, and kind of notice: how often the webhook got each."""
        said = [json.loads(request.body) for request in self.hook.to("/hook")]
        return Counter((each["alert"]["name"], each["alert"]["subject"], each["kind"]) for each in said)

    def mailed(self) -> int:
        """How many mails those on call got."""
        return self.mails.taken.count(ON_CALL)

    def wait_for(self, kind: str, *alerts: tuple[str, str], timeout_seconds: float = 120) -> None:
        """Wait until these were told as raised, or cleared, by webhook and by mail."""
        wanted = {(*alert, kind) for alert in alerts}
        self.shop.wait_until(
            lambda: wanted <= set(self.told()) and self.mailed() == self.told().total(),
            what=f"{sorted(wanted - set(self.told()))} told",
            timeout_seconds=timeout_seconds,
        )

    def forget_what_was(self) -> None:
        """Begin to count anew, once whoever evaluates now has done so and all that it found is told."""
        [(now,)] = self.shop.query("SELECT now()")
        evaluated = set[object]()

        def have_evaluated() -> bool:
            evaluated.update(self.shop.query("SELECT at FROM shop_alertevaluation WHERE at > %s", now))
            # The first time, not all sources may have been seen.
            return len(evaluated) > 1 and self.mailed() == self.told().total()

        self.shop.wait_until(have_evaluated, what="two evaluations, and all that was there told", timeout_seconds=120)
        self.hook.requests.clear()
        self.mails.taken.clear()


@pytest.fixture
def to_be_told(running_shop: Shop) -> Iterator[Watched]:
    """Once they are started again, timekeeper and live role tell a mail server and a webhook of this test."""
    with http_receiver.receiving() as hook, smtp.running() as mails:
        before = dict(running_shop.environment)
        running_shop.environment.update(
            ALERT_MAIL_TO=ON_CALL,
            ALERT_WEBHOOK_URL=f"{hook.url}/hook",
            ALERT_WEBHOOK_SECRET=SECRET,
            ALERT_HEARTBEAT_URL=f"{hook.url}/alive",
            EMAIL_URL=f"smtp://127.0.0.1:{mails.port}",
            AUDIT_SECONDS="3",
            AUDIT_GRACE_SECONDS="30",
        )
        yield Watched(running_shop, hook, mails)
        for name in running_shop.roles.names:
            running_shop.resume(name) if running_shop.is_running(name) else None
        running_shop.environment.clear()
        running_shop.environment.update(before)
        running_shop.ensure_running()
        running_shop.restart(*TELLERS)


@pytest.fixture
def watched(to_be_told: Watched) -> Watched:
    """They do: all that was wrong before is told, and the test counts from here."""
    to_be_told.shop.restart(*TELLERS)
    to_be_told.forget_what_was()
    return to_be_told


def evaluator(shop: Shop) -> str:
    return str(shop.query("SELECT by FROM shop_alertevaluation")[0][0]).partition(" ")[0]


def order_to(shop: Shop, email: str) -> None:
    buyers = Buyers(shop, most_of(shop))
    body = CONTACT | {"email": email, "lines": [{"sku": buyers.sku, "quantity": 1}], "payment_method": "pm_success",
                      "idempotency_key": f"00000000-0000-4000-8000-{time.time_ns() % 10**12:012}"}  # fmt: skip
    httpx.post(f"{shop.url}/api/orders/", json=body, timeout=15).raise_for_status()


def seconds_until(condition: Callable[[], object], shop: Shop, what: str) -> float:
    began = time.monotonic()
    shop.wait_until(condition, what=what, timeout_seconds=60)
    return time.monotonic() - began


def test_what_breaks_is_told_once_and_that_it_is_over_once(watched: Watched) -> None:
    shop = watched.shop
    watched.mails.refused = {"nobody@": "550 no such user"}
    order_to(shop, "nobody@example.org")
    shop.query(
        "INSERT INTO payments_review (kind, subject, detail, closed_by, note) "
        "VALUES ('unknown', 'of a test', 'of a test', '', '') RETURNING id"
    )
    [(sku,)] = shop.query("UPDATE inventory_stock SET held = held + 1 WHERE bin = %s RETURNING bin", most_of(shop))
    shop.kill("shipping")
    missed = ("process_missing", "shipping")
    assert seconds_until(lambda: (*missed, "raised") in watched.told(), shop, "shipping missed") < 30
    broken = [missed, ("mails_given_up", ""), ("needs_a_person", ""), ("audit_finding", "")]
    watched.wait_for("raised", *broken)
    # -- mended
    watched.mails.refused = {}
    shop.query("UPDATE inventory_stock SET held = held - 1 WHERE bin = %s RETURNING bin", sku)
    shop.query("UPDATE payments_review SET closed_at = now() WHERE subject = 'of a test' RETURNING id")
    shop.query("UPDATE orders_ordermail SET closed_at = now() WHERE failed_at IS NOT NULL RETURNING id")
    shop.start("shipping")
    watched.wait_for("cleared", *broken)
    assert {watched.told()[(*alert, kind)] for alert in broken for kind in ("raised", "cleared")} == {1}
    assert evaluator(shop) == "timekeeper"


@pytest.mark.prove
def test_a_group_that_stands_still_is_told_in_every_way_and_so_is_its_recovery(watched: Watched) -> None:
    shop = watched.shop
    shop.environment["ALERT_LIMITS"] = "lag=20,lag_critical=40,stalled_seconds=30,behind_messages=10"
    shop.restart(*EVALUATORS)
    shop.stop("shipping")
    Buyers(shop, most_of(shop)).order(60)
    names = ("lag", "lag_critical", "throughput_low", "no_progress", "process_missing")
    broken = [(name, "shipping") for name in names]
    watched.wait_for("raised", *broken, ("orders_waiting", "shipping"), timeout_seconds=180)
    shop.start("shipping")
    watched.wait_for("cleared", *broken, ("orders_waiting", "shipping"), timeout_seconds=120)
    assert {watched.told()[(*alert, kind)] for alert in broken for kind in ("raised", "cleared")} == {1}


@pytest.mark.prove(long=True)
def test_without_a_relay_a_timekeeper_a_broker_redis_or_postgresql_people_are_told(
    watched: Watched, real_kafka: ApacheKafka, postgres_server: Postgres
) -> None:
    shop = watched.shop
    shop.stop("relay")
    order_to(shop, "ada@example.org")
    waiting = [("relay_not_leaving", ""), ("outbox_old", ""), ("process_missing", "relay")]
    watched.wait_for("raised", *waiting, timeout_seconds=120)
    shop.start("relay")
    watched.wait_for("cleared", *waiting)
    # One that is frozen before it has noted that it told, tells it once more.
    untold = "SELECT FROM shop_alertnotice WHERE sent_at IS NULL AND failed_at IS NULL"
    shop.wait_until(lambda: not shop.query(untold), what="what was told is noted")

    shop.pause("timekeeper")
    gone = ("process_missing", "timekeeper")
    assert seconds_until(lambda: (*gone, "raised") in watched.told(), shop, "the timekeeper missed") < 35
    assert evaluator(shop) == "live"
    shop.resume("timekeeper")
    watched.wait_for("cleared", gone)
    shop.wait_until(lambda: evaluator(shop) == "timekeeper", what="the timekeeper evaluates again")

    real_kafka.pause()
    watched.wait_for("raised", ("source_unreachable", "kafka"), timeout_seconds=60)
    real_kafka.resume()
    watched.wait_for("cleared", ("source_unreachable", "kafka"), timeout_seconds=90)

    shop.redis.stop()
    watched.wait_for("raised", ("source_unreachable", "redis"), timeout_seconds=60)
    shop.redis.start()
    watched.wait_for("cleared", ("source_unreachable", "redis"), timeout_seconds=90)

    postgres_server.kill()
    watched.wait_for("raised", ("source_unreachable", "postgresql"), timeout_seconds=90)
    postgres_server.start()
    watched.wait_for("cleared", ("source_unreachable", "postgresql"), timeout_seconds=120)
    sources = [("source_unreachable", name) for name in ("kafka", "redis", "postgresql")]
    for alert in [*waiting, gone, *sources]:
        assert {watched.told()[(*alert, kind)] for kind in ("raised", "cleared")} == {1}, alert
