"""Each rule: what it finds wrong, for how long that must be so, and when it is over."""

from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from devtools.testing.shop import overviews as seen
from kafka_bridge.models import GroupControl
from kafka_bridge.monitoring.cluster_figures import BrokerFigures
from shop.operations.alerts.alert import Alert
from shop.operations.alerts.evaluation import Evaluation
from shop.operations.alerts.limits import BadLimits, Limits, parse, repeat_seconds
from shop.operations.alerts.rules import RULES
from shop.operations.alerts.telling import addresses
from shop.operations.overview.figures import (
    AuditFigures,
    DiskFigures,
    MissingProcess,
    OutboxFigures,
    Overview,
    WaitingOrders,
)

pytestmark = pytest.mark.operations
BY_NAME = {rule.name: rule for rule in RULES}
WELL = seen.overview()


def waiting(group: str = "shipping", oldest: float = 42) -> WaitingOrders:
    return WaitingOrders(
        stage="shipping", sentence=f"17 paid orders wait for shipping, the oldest for {oldest:.0f} s.", orders=17,
        oldest_seconds=oldest, usual_seconds=30, group=group, url="/admin/orders/order/?x=1",
    )  # fmt: skip


def broker(**others: Any) -> BrokerFigures:
    values: dict[str, Any] = {"id": 7, "address": "k", "is_up": True, "is_controller": False, "leads": 1}
    return BrokerFigures(**(values | others))


def groups(*found: Any) -> Overview:
    return seen.overview(kafka=seen.kafka(*found))


def of_database(**values: Any) -> Overview:
    return seen.overview(database=seen.database(**values))


def missing(role: str = "shipping") -> Overview:
    gone = MissingProcess(role=role, expected=1, present=0, since=seen.NOW)
    return seen.overview(processes=seen.processes(missing=(gone,)))


def disk(free: int) -> Overview:
    return seen.overview(disks=(DiskFigures(path="/data", free_bytes=free * 2**30, size_bytes=100 * 2**30),))


def days(number: float) -> Overview:
    return seen.overview(kafka=seen.kafka(brokers=(broker(certificate_ends_at=seen.NOW + timedelta(days=number)),)))


def pause(seconds: float) -> GroupControl:
    since = seen.NOW - timedelta(seconds=seconds)
    return GroupControl(
        kind="pause", group="shipping", topic="orders.events", partition=1, who="ada",
        reason="the carrier is on strike", at=since,
    )  # fmt: skip


AUDIT = AuditFigures(at=seen.NOW, is_clean=False, wrong=2, names=("holds equal stock",))

# Rule, what is wrong, the same just within the limit, subject, severity, what the sentence says.
CASES = [
    ("process_missing", missing(), WELL, "shipping", "critical", "shipping: 0 of 1 processes run."),
    ("source_unreachable", seen.overview(kafka=seen.away()), WELL, "kafka", "critical", "(TimeoutError)"),
    ("source_unreachable", seen.overview(redis=seen.away()), WELL, "redis", "warning", "Redis does not answer"),
    ("source_unreachable", seen.overview(database=seen.away()), WELL, "postgresql", "critical", "PostgreSQL"),
    ("source_unreachable", of_database(is_read_only=True), WELL, "postgresql", "critical", "takes no writes"),
    ("lag", groups(seen.group(messages=1001, handled_per_second=900)), groups(seen.group(messages=1000)),
     "shipping", "warning", "1,001 messages"),
    ("lag_critical", groups(seen.group(messages=10001)), groups(seen.group(messages=10000)), "shipping", "critical",
     "10,001 messages"),
    ("throughput_low", groups(seen.group(messages=101, handled_per_second=99.9)),
     groups(seen.group(messages=101, handled_per_second=100.0)), "shipping", "warning", "99.9 messages a second"),
    ("throughput_low", groups(seen.group(messages=3, seconds=42)), groups(seen.group(messages=3, seconds=0.2)),
     "shipping", "warning", "3 behind"),
    ("throughput_low", groups(seen.group(messages=3, seconds=42)),
     groups(seen.group(messages=3, seconds=42, paused=True)),
     "shipping", "warning", "the oldest for 42 s"),
    ("no_progress", groups(seen.group(messages=3, stalled=121)), groups(seen.group(messages=3, stalled=119)),
     "shipping", "critical", "orders.events[0] for 121 s"),
    ("paused_by_person", of_database(pauses=(pause(901),)), of_database(pauses=(pause(890),)),
     "shipping in orders.events[1]", "warning", "has been paused for 0:15:01 by ada: the carrier is on strike"),
    ("error_rate", groups(seen.group(error_rate=0.051)), groups(seen.group(error_rate=0.05)), "shipping", "critical",
     "5.1 % of what shipping"),
    ("dead_letters", of_database(dead_letters=101), of_database(dead_letters=100), "", "warning", "101 dead letters"),
    ("retention_about_to_delete_unread", groups(seen.group(messages=1, seconds=4 * 86400)),
     groups(seen.group(messages=1, seconds=3 * 86400)), "shipping (orders.events)", "critical", "for 4.0 days"),
    ("relay_not_leaving",
     seen.overview(database=seen.database(outbox=OutboxFigures(rows=5, oldest_seconds=20)),
                   processes=seen.processes(relay_progress=30)),
     of_database(outbox=OutboxFigures(rows=5, oldest_seconds=20)), "", "critical", "5 events waiting"),
    ("outbox_old", of_database(outbox=OutboxFigures(rows=5, oldest_seconds=61)),
     of_database(outbox=OutboxFigures(rows=5, oldest_seconds=60)), "", "warning", "for 61 s"),
    ("orders_waiting", of_database(waiting=(waiting(),)), of_database(waiting=(waiting(oldest=30),)), "shipping",
     "warning", "17 paid orders wait for shipping, the oldest for 42 s."),
    ("orders_waiting", of_database(waiting=(waiting(),)), of_database(waiting=(waiting(group=""),)), "shipping",
     "warning", "Usual are 30 s; it is for shipping to act."),
    ("audit_finding", of_database(audit=AUDIT), of_database(audit=replace(AUDIT, is_clean=True)), "", "critical",
     "finds 2 wrong: holds equal stock."),
    ("needs_a_person", of_database(reviews=2, oldest_review_seconds=3600.0), WELL, "", "warning",
     "the oldest for 1:00:00"),
    ("mails_late", of_database(mails_unsent=4, oldest_mail_seconds=301.0),
     of_database(mails_unsent=4, oldest_mail_seconds=300.0), "", "warning", "4 mails not sent yet"),
    ("mails_given_up", of_database(mails_given_up=1), WELL, "", "warning", "1 mail could not be sent."),
    ("refused_messages", of_database(refused_messages=1), WELL, "", "warning", "1 message on a topic"),
    ("connections_near_limit", of_database(connections=81), of_database(connections=80), "", "warning", "81 of 100"),
    ("disk", disk(9), disk(10), "/data", "warning", "9.0 GiB free, 9.0 %"),
    ("disk", disk(3), disk(10), "/data", "critical", "3.0 GiB"),
    ("disk", seen.overview(kafka=seen.kafka(brokers=(broker(disk_free_bytes=2**30),))),
     seen.overview(kafka=seen.kafka(brokers=(broker(disk_free_bytes=2 * 2**30),))), "The disk of broker 7", "warning",
     "broker 7 has 1.0 GiB free."),
    ("kafka_certificate", days(20), days(22), "7", "warning", "ends on 21 May 2026, in 20 days"),
    ("kafka_certificate", days(-1), days(22), "7", "critical", "it ended on 30 April 2026"),
    ("under_replicated", seen.overview(kafka=seen.kafka(topics=(seen.topic(replicas=(1, 2), in_sync=(1,)),))), WELL, "",
     "warning", "1 partition with fewer copies in step than there should be: orders.events."),
    ("no_leader", seen.overview(kafka=seen.kafka(topics=(seen.topic(leader=None),))), WELL, "", "critical",
     "1 partition without a leader"),
    ("clock_skew", of_database(clock_ahead_seconds=-5.1), of_database(clock_ahead_seconds=5.0), "", "warning",
     "5.1 s behind this"),
]  # fmt: skip


class Playing:
    """An evaluation and the alerts that it has raised, played through time."""

    def __init__(self, *rules: str, limits: Limits | None = None) -> None:
        self.evaluation = Evaluation(limits=limits or Limits(), rules=[BY_NAME[name] for name in rules] or RULES)
        self.raised: dict[tuple[str, str], Alert] = {}

    def see(self, overview: Overview) -> None:
        changes = self.evaluation.step(overview, self.raised)
        self.raised |= {alert.key: alert for alert in [*changes.raised, *changes.held]}
        for alert in changes.cleared:
            del self.raised[alert.key]


@pytest.mark.parametrize(("name", "wrong", "within", "subject", "severity", "words"), CASES)
def test_a_rule_raises_what_has_held_for_its_time_and_clears_what_has_been_over_for_its_time(
    name: str, wrong: Overview, within: Overview, subject: str, severity: str, words: str
) -> None:
    rule, play = BY_NAME[name], Playing(name)
    play.see(within)
    assert not play.raised
    # What has a known beginning may have held already when it is seen first.
    began = next(iter(rule.find(wrong, Limits()))).since or wrong.at
    held = min(rule.hold_seconds, max(0.0, rule.hold_seconds - (wrong.at - began).total_seconds()))
    for second in range(int(held)):
        play.see(seen.later(wrong, second))
        assert not play.raised
    play.see(seen.later(wrong, held))
    [alert] = play.raised.values()
    assert (alert.name, alert.subject, alert.severity) == (name, subject, severity)
    assert words in alert.message
    assert not set("{}") & set(alert.message + alert.advice)
    play.see(seen.later(wrong, held + 1))
    assert play.raised.keys() == {alert.key}, "raised once"
    assert play.raised[alert.key].raised_at == alert.raised_at
    for second in range(int(rule.clear_seconds)):
        play.see(seen.later(within, held + 2 + second))
        assert play.raised
    play.see(seen.later(within, held + 2 + rule.clear_seconds))
    assert not play.raised


def test_every_rule_has_a_case_and_a_healthy_shop_raises_nothing() -> None:
    assert {case[0] for case in CASES} == set(BY_NAME)
    play = Playing()
    for second in range(0, 600, 5):
        play.see(seen.later(seen.overview(kafka=seen.kafka(seen.group(messages=3, seconds=0.1))), second))
    assert not play.raised


def test_while_a_source_is_away_nothing_that_depends_on_it_is_raised_or_cleared() -> None:
    play = Playing("lag", "dead_letters")
    wrong = seen.overview(kafka=seen.kafka(seen.group(messages=5000)), database=seen.database(dead_letters=500))
    play.see(wrong)
    assert set(play.raised) == {("dead_letters", "")}
    # Its last word is kept, and is old.
    away = seen.overview(kafka=seen.away(value=wrong.kafka.value), database=seen.away(value=seen.database()))
    for second in range(1, 100, 5):
        play.see(seen.later(away, second))
    assert set(play.raised) == {("dead_letters", "")}
    play.see(seen.later(wrong, 100))
    assert set(play.raised) == {("dead_letters", ""), ("lag", "shipping")}


def test_a_peak_that_passes_is_no_alert_and_a_pause_in_between_does_not_end_one() -> None:
    play = Playing("lag")
    behind, well = groups(seen.group(messages=5000)), WELL
    for second in range(0, 200, 10):
        play.see(seen.later(behind if second % 30 else well, second))
    assert not play.raised
    for second in range(200, 260, 10):
        play.see(seen.later(behind, second))
    assert play.raised
    for second in range(260, 400, 10):
        play.see(seen.later(behind if second % 30 == 0 else well, second))
    assert play.raised


def test_a_rule_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def stumble(*_: object) -> list[Any]:
        raise ZeroDivisionError

    play = Playing("dead_letters")
    play.evaluation.rules = [replace(BY_NAME["lag"], find=stumble), *play.evaluation.rules]
    play.see(of_database(dead_letters=101))
    assert set(play.raised) == {("dead_letters", "")}
    assert "the rule lag failed" in caplog.text


def test_limits_are_changed_by_one_setting() -> None:
    play = Playing("lag", limits=parse("lag=5000, disk_free_percent=20"))
    for second in (0, 40):
        play.see(seen.later(groups(seen.group(messages=5000)), second))
    assert not play.raised
    for second in (50, 90):
        play.see(seen.later(groups(seen.group(messages=5001)), second))
    assert play.raised
    assert parse("") == Limits()


@pytest.mark.parametrize(
    ("text", "said"),
    [("lags=1", "no limit 'lags'"), ("lag", "form name=number"), ("lag=many", "lag=many is not a number"),
     ("lag=-1", "not a number"), ("lag=inf", "not a number")],
)  # fmt: skip
def test_a_limit_that_makes_no_sense_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(BadLimits, match=said):
        parse(text)


@pytest.mark.parametrize(
    "url",
    [
        "example.com/hook",
        "ftp://example.com",
        "https://",
        "https://me:hunter2@example.com",  # pragma: allowlist secret
        "https://a b.com",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(addresses.BadAddress) as refused:
        addresses.checked("ALERT_CHAT_URL", url)
    assert "ALERT_CHAT_URL" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_webhook_needs_a_secret_and_mails_an_address_and_nobody_is_told_every_second() -> None:
    with pytest.raises(addresses.BadAddress, match="ALERT_WEBHOOK_SECRET"):
        addresses.secret_for("https://example.com", "")
    assert addresses.secret_for("", "") == ""
    with pytest.raises(addresses.BadAddress, match="ALERT_MAIL_TO"):
        addresses.mail_addresses(["on-call"])
    with pytest.raises(BadLimits, match="ALERT_REPEAT_SECONDS"):
        repeat_seconds(5)


def test_the_documents_have_every_alert_and_every_limit() -> None:
    text = (Path(__file__).parents[4] / "docs" / "operations.md").read_text()
    for rule in RULES:
        assert f"| `{rule.name}` | {rule.severity} | " in text
        assert f" | {rule.hold_seconds:g} s, {rule.clear_seconds:g} s | {rule.advice} |" in text, rule.name
    for each in fields(Limits):
        assert f"`{each.name}` | {each.default:g} |" in text
