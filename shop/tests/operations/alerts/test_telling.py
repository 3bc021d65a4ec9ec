"""Who is told of an alert, how, and how often: on a real PostgreSQL, mail server and HTTP server."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from django_redis import get_redis_connection

from devtools.testing import http_receiver
from devtools.testing.http_receiver import HttpReceiver
from devtools.testing.shop import overviews as seen
from devtools.testing.shop.mail_server import MailServer
from kafka_bridge.monitoring.cluster_figures import BrokerFigures
from kafka_bridge.runtime import waiting
from payments.gateways import signatures
from shop.models import AlertEvaluation, AlertNotice, AlertRecord, AuditEntry
from shop.operations.alerts import board, records, stamps
from shop.operations.alerts.alert import Alert
from shop.operations.alerts.board import Board
from shop.operations.alerts.telling import channels, notices
from shop.operations.alerts.telling.sending import Senders
from shop.operations.overview.figures import Overview

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.operations]


def seconds_from_now(seconds: float, **sources: Any) -> Overview:
    return seen.overview(at=timezone.now() + timedelta(seconds=seconds), **sources)


def wrong(seconds: float = 0, **sources: Any) -> Overview:
    return seconds_from_now(seconds, database=seen.database(dead_letters=101), **sources)


def well(seconds: float = 0) -> Overview:
    return seconds_from_now(seconds)


@pytest.fixture
def receiver(settings: Any, mail_server: MailServer) -> Iterator[HttpReceiver]:
    """All channels are in use, and lead here."""
    with http_receiver.receiving() as made:
        settings.ALERT_MAIL_TO = ["on-call@example.com"]
        settings.ALERT_WEBHOOK_URL, settings.ALERT_WEBHOOK_SECRET = f"{made.url}/hook", "a secret"
        settings.ALERT_CHAT_URL = f"{made.url}/chat?key=1"
        yield made


class Evaluator:
    """One process that evaluates."""

    def __init__(self, *, goes_on_without_database: bool = False) -> None:
        self.board = Board(goes_on_without_database=goes_on_without_database)
        self.senders = Senders(self.board)

    def see(self, overview: Overview) -> None:
        self.board.evaluate(overview)
        self.senders.wake(ask_database=not overview.database.error)


def until(condition: Callable[[], object], what: str) -> None:
    waiting.until(condition, what=what, timeout_seconds=60)


def kinds(received: list[http_receiver.Received]) -> list[str]:
    return [json.loads(request.body)["kind"] for request in received]


def all_sent() -> bool:
    return not AlertNotice.objects.filter(sent_at=None).exists()


def test_e10_an_alert_is_told_once_when_it_is_raised_and_once_when_it_is_cleared(
    receiver: HttpReceiver, mail_server: MailServer
) -> None:
    one = Evaluator()
    for second in range(3):
        one.see(wrong(second))
    until(lambda: len(mail_server.texts) == 1 and len(receiver.requests) == 2, "the alert told by each channel")
    [alert] = board.current()
    assert alert.told_at is not None
    # Another process takes over, and one starts again: nobody is told a second time.
    other = Evaluator()
    other.see(wrong(4))
    for second in (5, 34, 64):
        other.see(well(second))
    until(lambda: len(mail_server.texts) == 2 and len(receiver.requests) == 4, "its end told by each channel")
    until(all_sent, "all of it noted")
    other.see(well(70))
    [hook, hook_over] = receiver.to("/hook")
    said = json.loads(hook.body)
    assert (said["kind"], said["alert"]["name"], said["alert"]["severity"]) == ("raised", "dead_letters", "warning")
    assert said["alert"]["url"].startswith("http")
    assert kinds([hook, hook_over]) == ["raised", "cleared"]
    signatures.verify(hook.body, hook.headers["bookrush-signature"], secrets=["a secret"])
    assert json.loads(receiver.to("/chat?key=1")[0].body)["text"].startswith("101 dead letters waiting for a person.")
    assert "Subject: [warning] 101 dead letters waiting for a person." in mail_server.texts[0]
    assert "Subject: [warning] Over: 101 dead letters" in mail_server.texts[1]
    assert "manage.py dead_letters list" in mail_server.texts[0]
    assert (len(mail_server.texts), len(receiver.requests), AlertNotice.objects.count()) == (2, 4, 6)
    [past] = board.history(10)
    assert past.cleared_at is not None
    assert board.current() == []


def test_it_is_told_again_while_it_holds_and_when_it_gets_worse(receiver: HttpReceiver, settings: Any) -> None:
    settings.ALERT_REPEAT_SECONDS = 3600
    one = Evaluator()
    for second in (0, 3599, 3601, 3700, 7300):
        one.see(wrong(second))
    until(lambda: len(receiver.to("/hook")) == 3, "three notices")
    assert kinds(receiver.to("/hook")) == ["raised", "repeated", "repeated"]

    def certificate(days: float) -> Any:
        end = timezone.now() + timedelta(days=days)
        broker = BrokerFigures(id=1, address="k", is_up=True, is_controller=True, leads=1, certificate_ends_at=end)
        return seen.kafka(brokers=(broker,))

    receiver.requests.clear()
    one.see(wrong(7400, kafka=certificate(20)))
    one.see(wrong(7410, kafka=certificate(3)))
    one.see(wrong(7420, kafka=certificate(3)))
    until(lambda: len(receiver.to("/hook")) == 2, "that it got worse")
    assert [json.loads(each.body)["alert"]["severity"] for each in receiver.to("/hook")] == ["warning", "critical"]


def test_a_channel_that_fails_holds_up_no_other_and_gets_its_notices_later_in_their_sequence(
    receiver: HttpReceiver, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 500
    one = Evaluator()
    one.see(wrong())
    for second in (10, 41):
        one.see(well(second))
    until(lambda: len(mail_server.texts) == 2, "both mails")
    until(lambda: len(receiver.requests) >= 2, "an attempt of each channel")
    until(lambda: AlertNotice.objects.filter(last_error="the answer was 500").count() == 2, "the failures noted")
    assert set(kinds(receiver.to("/hook"))) == {"raised"}
    assert "key=1" not in caplog.text
    assert "a secret" not in caplog.text
    receiver.requests.clear()
    receiver.status = 200
    AlertNotice.objects.update(next_attempt_at=timezone.now())
    one.see(well(50))
    until(all_sent, "what had failed")
    assert kinds(receiver.to("/hook")) == ["raised", "cleared"]
    assert len(mail_server.texts) == 2


def test_a_redirect_is_not_followed(receiver: HttpReceiver) -> None:
    receiver.status, receiver.location = 302, f"{receiver.url}/elsewhere"
    Evaluator().see(wrong())
    until(lambda: AlertNotice.objects.filter(last_error="the answer was 302").count() == 2, "the failures noted")
    assert receiver.to("/elsewhere") == []


def test_while_postgresql_is_away_people_are_told_and_it_is_written_down_afterwards(
    receiver: HttpReceiver, mail_server: MailServer, database_away: Any
) -> None:
    live = Evaluator(goes_on_without_database=True)
    lost = seen.away()
    for second in (0, 11, 12):
        live.see(seconds_from_now(second, database=lost))
    until(lambda: len(mail_server.texts) == 1 and len(receiver.requests) == 2, "told from memory")
    assert [alert.name for alert in live.board.current()] == ["source_unreachable"]
    assert "PostgreSQL does not answer" in mail_server.texts[0]


def test_what_was_told_while_postgresql_was_away_is_cleared_by_who_comes_after(
    receiver: HttpReceiver, mail_server: MailServer
) -> None:
    live, timekeeper = Evaluator(goes_on_without_database=True), Evaluator()
    lost = seen.away(since=timezone.now() - timedelta(seconds=30))
    live.see(seconds_from_now(0, database=lost))
    until(lambda: len(receiver.requests) == 2 and len(mail_server.texts) == 1, "told from memory")
    until(lambda: not live.board._in_flight, "noted in memory")
    assert not AlertRecord.objects.exists()
    live.board.refresh()
    assert AlertRecord.objects.get().name == "source_unreachable"
    assert all_sent()
    for second in (1, 12):
        timekeeper.see(well(second))
    until(lambda: len(receiver.requests) == 4 and len(mail_server.texts) == 2, "its end")
    assert kinds(receiver.to("/hook")) == ["raised", "cleared"]
    live.board.refresh()
    assert live.board.current() == []


def test_two_that_evaluate_at_once_raise_once_and_clear_once(receiver: HttpReceiver) -> None:
    now = timezone.now()

    def found() -> Alert:
        return Alert(
            name="lag", subject="orders", severity="warning", message="m", advice="a", since=now, raised_at=now
        )

    def told(alert: Alert, kind: str) -> list[AlertNotice]:
        return notices.make(alert, kind=kind, channels=["webhook"], at=now)

    first, second = found(), found()
    records.write([(None, first)], told(first, "raised"))
    records.write([(None, second)], told(second, "raised"))
    over = replace(first, cleared_at=now)
    records.write([(first, over)], told(over, "cleared"))
    records.write([(first, replace(over, cleared_at=now + timedelta(seconds=1)))], told(over, "cleared"))
    assert [record.pk for record in AlertRecord.objects.all()] == [first.id]
    assert sorted(AlertNotice.objects.values_list("alert_id", "kind")) == [
        (first.id, "cleared"), (first.id, "raised"),
    ]  # fmt: skip


def test_a_silence_keeps_people_from_being_told_until_it_ends(receiver: HttpReceiver, admin_user: User) -> None:
    until_then = timezone.now() + timedelta(hours=1)
    silence = board.silence("dead_letters", "", until_then, admin_user, "We are on it.")
    one = Evaluator()
    one.see(wrong())
    [alert] = one.board.current()
    assert alert.silenced_because == f"We are on it. ({admin_user.username})"
    assert not AlertNotice.objects.exists()
    board.end_silence(silence, who=admin_user)
    one.see(wrong(1))
    until(lambda: kinds(receiver.to("/hook")) == ["raised"], "told once it is not silenced")
    assert list(AuditEntry.objects.order_by("pk").values_list("what", "subject")) == [
        ("alert silenced", "dead_letters"), ("silence ended", "dead_letters"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "hours", "reason", "said"),
    [("dead_leters", 1, "x", "no alert 'dead_leters'"), ("lag", -1, "x", "is over"), ("lag", 1, "  ", "Say why")],
)
def test_a_silence_that_makes_no_sense_is_refused(name: str, hours: float, reason: str, said: str) -> None:
    with pytest.raises(board.BadSilence, match=said):
        board.silence(name, "", timezone.now() + timedelta(hours=hours), "me", reason)


def test_the_dead_mans_switch_hears_of_each_minute(receiver: HttpReceiver, settings: Any) -> None:
    settings.ALERT_HEARTBEAT_URL = f"{receiver.url}/alive"
    one = Evaluator()
    for _ in range(3):
        one.see(well())
    until(lambda: receiver.to("/alive"), "a sign of life")
    one.senders.wake(ask_database=True)
    assert [request.method for request in receiver.to("/alive")] == ["GET"]


def test_one_process_evaluates_and_another_takes_over_when_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    stamps.take()
    assert stamps.try_take(ask_database=True), "it goes on"
    monkeypatch.setattr(stamps, "me", lambda: "live elsewhere 1")
    assert not stamps.try_take(ask_database=True)
    assert not stamps.try_take(ask_database=False), "Redis knows it too"
    # So it would be some seconds later.
    get_redis_connection("default").delete("alerts:evaluator")
    assert not stamps.try_take(ask_database=True), "PostgreSQL knows it too"
    get_redis_connection("default").delete("alerts:evaluator")
    AlertEvaluation.objects.update(at=timezone.now() - timedelta(seconds=stamps.TAKEOVER_SECONDS + 1))
    assert stamps.try_take(ask_database=True)
    found = stamps.last()
    assert found is not None
    assert found[0] == "live elsewhere 1"
    monkeypatch.undo()
    assert not stamps.try_take(ask_database=True)
    stamps.take()
    assert stamps.try_take(ask_database=True), "who leads need not ask"


def test_without_channels_an_alert_is_shown_and_told_to_nobody() -> None:
    assert channels.configured() == []
    one = Evaluator()
    one.see(wrong())
    [alert] = board.current()
    assert alert.told_at is None
    assert not AlertNotice.objects.exists()
