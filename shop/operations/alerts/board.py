"""The alerts as they are now: raised, told, silenced, cleared.

# Note [Where the board is kept]
In PostgreSQL, so that another process goes on where one stops and nobody is told twice. A process that must tell
people also while PostgreSQL is away (the role live) keeps what it could not write, tells people from memory, and writes
it once it can. The timekeeper does not: without PostgreSQL it does not lead.
"""

import threading
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError, InterfaceError, transaction
from django.utils import timezone

from shop.models import AlertNotice, AlertSilence
from shop.operations import activity_log
from shop.operations.alerts import records
from shop.operations.alerts.alert import Alert
from shop.operations.alerts.evaluation import Evaluation, Key, worst_first
from shop.operations.alerts.rules import RULES
from shop.operations.alerts.telling import channels, notices
from shop.operations.overview.figures import Overview

AWAY = (DatabaseError, InterfaceError)


class BadSilence(ValueError):
    """There is no such alert, the time is over, or there is no reason; the message says which."""


class Board:
    """The board of one process; any thread may use it."""

    def __init__(self, *, goes_on_without_database: bool = False) -> None:
        """See Note [Where the board is kept]."""
        self.goes_on_without_database = goes_on_without_database
        self._evaluation = Evaluation(limits=settings.ALERT_LIMITS)
        self._lock = threading.RLock()
        self._shown: tuple[Alert, ...] = ()
        self._silences: Sequence[AlertSilence] = ()
        self._now: dict[Key, Alert] = {}
        self._written: dict[uuid.UUID, Alert] = {}
        """The alerts that are raised, as PostgreSQL has them."""
        self._over: list[Alert] = []
        """Cleared, and not written."""
        self._notices: list[AlertNotice] = []
        """Not written."""
        self._in_flight = set[uuid.UUID]()
        """Of those, the ones that are being sent."""

    def current(self) -> list[Alert]:
        """Alerts that hold, the worst first, as this process knows them; never blocks."""
        return records.with_silences(self._shown, self._silences, timezone.now())

    def evaluate(self, overview: Overview) -> list[Alert]:
        """Hold the rules against what is seen, write down and tell what has changed; the alerts that hold now.

        Raises:
            DatabaseError, InterfaceError: PostgreSQL is away, and this board does not go on without.
        """
        with self._lock:
            self._synchronise(is_away=bool(overview.database.error))
            changes = self._evaluation.step(overview, self._now)
            for alert in [*changes.raised, *changes.held]:
                self._now[alert.key] = self._tell(alert, overview.at)
            for alert in changes.cleared:
                del self._now[alert.key]
                self._over.append(alert)
                if alert.told_at is not None:
                    self._notices += _notices(alert, "cleared", overview.at)
            self._synchronise(is_away=bool(overview.database.error))
            return self.current()

    def refresh(self) -> None:
        """Another process evaluates: write what is left to be written here, and read what it has found.

        Raises:
            DatabaseError, InterfaceError: PostgreSQL is away, and this board does not go on without.
        """
        with self._lock:
            self._evaluation.forget()
            self._synchronise(is_away=False)

    # -- Notices that PostgreSQL does not have ---------------------------------------------------------------
    def channels_with_unwritten(self) -> set[str]:
        """Channels with a notice to send."""
        with self._lock:
            return {notice.channel for notice in self._notices if not (notice.sent_at or notice.failed_at)}

    def take_notice(self, channel: str) -> AlertNotice | None:
        """One that is due, and in memory only. Whoever takes it says by `give_notice` that it was tried."""
        with self._lock:
            notice = notices.first_due([each for each in self._notices if each.pk not in self._in_flight], channel)
            if notice is not None:
                notice.attempts += 1
                self._in_flight.add(notice.pk)
            return notice

    def give_notice(self, notice: AlertNotice) -> None:
        """What came of it stands in the notice."""
        with self._lock:
            self._in_flight.discard(notice.pk)

    def _tell(self, alert: Alert, now: datetime) -> Alert:
        """The alert, told to people where that is due."""
        before = self._now.get(alert.key)
        [alert] = records.with_silences([alert], self._silences, now)
        kind = _kind_due(before, alert, now)
        made = _notices(alert, kind, now) if kind else []
        self._notices += made
        return replace(alert, told_at=now) if made else alert

    def _synchronise(self, *, is_away: bool) -> None:
        """Write what is not written, and read what is."""
        if is_away and self.goes_on_without_database:
            self._show()
            return
        try:
            self._write()
            self._read()
        except AWAY:
            if not self.goes_on_without_database:
                self._forget()
                raise
        self._show()

    def _write(self) -> None:
        changed = [(self._written.get(alert.id), alert) for alert in [*self._over, *self._now.values()]]
        changed = [(before, alert) for before, alert in changed if before is None or _differs(before, alert)]
        settled = [notice for notice in self._notices if notice.pk not in self._in_flight]
        if changed or settled:
            records.write(changed, settled)
        self._written |= {alert.id: alert for _, alert in changed}
        self._over.clear()
        self._notices = [notice for notice in self._notices if notice.pk in self._in_flight]

    def _read(self) -> None:
        found = records.raised()
        self._silences = records.silences()
        self._written = {alert.id: alert for alert in found}
        self._now = {alert.key: alert for alert in found}

    def _forget(self) -> None:
        self._now, self._written, self._notices = {}, {}, []
        self._over.clear()

    def _show(self) -> None:
        self._shown = tuple(worst_first(self._now.values()))


_board: Board | None = None


def start(*, goes_on_without_database: bool = False) -> Board:
    """This process keeps a board from now on; the same one at every call."""
    global _board
    if _board is None:
        _board = Board(goes_on_without_database=goes_on_without_database)
    return _board


def current() -> list[Alert]:
    """Alerts that hold, the worst first: from memory where this process keeps a board, else from PostgreSQL.

    Raises:
        DatabaseError: it keeps none, and PostgreSQL cannot be used.
    """
    if _board is not None:
        return _board.current()
    return worst_first(records.with_silences(records.raised(), records.silences(), timezone.now()))


def history(limit: int) -> list[Alert]:
    """The last alerts, the newest first, those that are over as well.

    Raises:
        DatabaseError: PostgreSQL cannot be used.
    """
    return records.latest(limit)


def evaluate(overview: Overview) -> list[Alert]:
    """See `Board.evaluate`."""
    return start().evaluate(overview)


def silence(name: str, subject: str, until: datetime, who: AbstractBaseUser | str, reason: str) -> AlertSilence:
    """Tell nobody of these alerts until then; an empty subject stands for all of this name. With an entry in the
    activity log.

    Raises:
        BadSilence: with what is wrong.
    """
    if name not in {rule.name for rule in RULES}:
        raise BadSilence(f"There is no alert {name!r}.")
    if until <= timezone.now():
        raise BadSilence("That time is over; choose one to come.")
    if not reason.strip():
        raise BadSilence("Say why, so that others know.")
    user, by = (None, who) if isinstance(who, str) else (who, who.get_username())
    with transaction.atomic():
        made = AlertSilence.objects.create(
            name=name, subject=subject[:120], until=until, who=by[:150], reason=reason.strip()[:500]
        )
        after = {"until": until.isoformat(timespec="minutes")}
        activity_log.record(
            user=user, who=by, what="alert silenced", subject=str(made), reason=made.reason, after=after
        )
    return made


def end_silence(made: AlertSilence, *, who: AbstractBaseUser) -> None:
    """From now on people are told again. With an entry in the activity log."""
    with transaction.atomic():
        AlertSilence.objects.filter(pk=made.pk, until__gt=timezone.now()).update(until=timezone.now())
        activity_log.record(user=who, what="silence ended", subject=str(made))


def _kind_due(before: Alert | None, alert: Alert, now: datetime) -> str:
    """What people are to be told now; empty for nothing."""
    if alert.is_silenced(now):
        return ""
    if alert.told_at is None:
        return "raised"
    is_worse = alert.severity == "critical" and before is not None and before.severity == "warning"
    is_time = now - alert.told_at >= timedelta(seconds=settings.ALERT_REPEAT_SECONDS)
    return "repeated" if is_worse or is_time else ""


def _notices(alert: Alert, kind: str, now: datetime) -> list[AlertNotice]:
    return notices.make(alert, kind=kind, channels=[channel.name for channel in channels.configured()], at=now)


def _differs(before: Alert, after: Alert) -> bool:
    return before.silenced(until=None, because="") != after.silenced(until=None, because="")
