"""Alerts for who asks: one look, or one after another, that write nothing and tell nobody."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from shop.models import AlertSilence
from shop.operations.alerts import records, stamps
from shop.operations.alerts.alert import Alert
from shop.operations.alerts.board import AWAY
from shop.operations.alerts.evaluation import Evaluation, Key, worst_first
from shop.operations.alerts.rules import RULES
from shop.operations.alerts.telling import channels, notices, sending
from shop.operations.overview.figures import Overview

EVERY_SECONDS = 5.0


class UnknownAlert(ValueError):
    """There is no alert of this name; the message lists those that there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What one channel did with a test."""

    channel: str
    is_taken: bool
    error: str


@dataclass
class Eyes:
    """Looks again and again: what has not held for its time is left out."""

    _evaluation: Evaluation = field(default_factory=lambda: Evaluation(limits=settings.ALERT_LIMITS))
    _raised: dict[Key, Alert] = field(default_factory=dict)

    def look(self, overview: Overview) -> list[Alert]:
        """Alerts that hold, the worst first."""
        board = _read_board(overview)
        changes = self._evaluation.step(overview, self._raised | board.raised)
        self._raised = {alert.key: alert for alert in [*self._raised.values(), *changes.raised, *changes.held]}
        for alert in changes.cleared:
            self._raised.pop(alert.key, None)
        return worst_first(records.with_silences((board.raised | self._raised).values(), board.silences, overview.at))


def look(overview: Overview) -> list[Alert]:
    """Alerts that hold, the worst first. One look sees for how long something has held only with the help of who
    evaluates all the time; where nobody does, all that is wrong now is told.
    """
    board = _read_board(overview)
    rules = RULES if board.is_fresh else [replace(rule, hold_seconds=0.0) for rule in RULES]
    changes = Evaluation(limits=settings.ALERT_LIMITS, rules=rules).step(overview, board.raised)
    now = board.raised | {alert.key: alert for alert in [*changes.raised, *changes.held]}
    for alert in changes.cleared:
        del now[alert.key]
    return worst_first(records.with_silences(now.values(), board.silences, overview.at))


def send_test(name: str) -> list[Told]:
    """Send a test of this alert through every channel; what each did with it.

    Raises:
        UnknownAlert: see there.
    """
    rule = next((rule for rule in RULES if rule.name == name), None)
    if rule is None:
        names = ", ".join(each.name for each in RULES)
        raise UnknownAlert(f"There is no alert {name!r}. There are {names}.")
    now = timezone.now()
    alert = Alert(
        name=name, subject="", severity=rule.severity, advice=rule.advice, since=now, raised_at=now, url=rule.url,
        message=f"This is a test of the alert {name}; nothing is wrong.",
    )  # fmt: skip
    told = []
    for channel in channels.configured():
        [notice] = notices.make(alert, kind="test", channels=[channel.name], at=now)
        is_taken = sending.attempt(channel, notice)
        told.append(Told(channel=channel.name, is_taken=is_taken, error=notice.last_error))
    return told


@dataclass(frozen=True, kw_only=True, slots=True)
class _Board:
    """What who evaluates has written down."""

    raised: dict[Key, Alert] = field(default_factory=dict)
    silences: Sequence[AlertSilence] = ()
    is_fresh: bool = False


def _read_board(overview: Overview) -> _Board:
    if overview.database.error:
        return _Board()
    try:
        last = stamps.last()
        is_fresh = last is not None and timezone.now() - last[1] < timedelta(seconds=stamps.SILENT_SECONDS)
        raised = {alert.key: alert for alert in records.raised()} if is_fresh else {}
        return _Board(raised=raised, silences=records.silences(), is_fresh=is_fresh)
    except AWAY:
        connection.close()
        return _Board()
