"""Sends the notices that are due, each channel in a thread of its own: one that hangs holds up no other."""

import logging
import smtplib
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import close_old_connections, connection

from shop.models import AlertNotice
from shop.operations.alerts.board import AWAY, Board
from shop.operations.alerts.telling import channels, notices
from shop.operations.alerts.telling.channels import Channel, NotTold

log = logging.getLogger(__name__)
ALIVE_SECONDS, ALIVE_AGAIN_SECONDS = 60.0, 15.0
"""How often the dead man's switch hears of us; and after it did not take it."""


class Senders:
    """The threads of one process; they begin with the first notice."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._threads: dict[str, _Rounds] = {}
        self._alive_at = 0.0
        self._ask_database = True

    def wake(self, *, ask_database: bool) -> None:
        """Send what is due; returns at once. Call it after each evaluation, and with no question to a database that is
        known to be away.
        """
        self._ask_database = ask_database
        waiting = self._board.channels_with_unwritten() | (self._channels_with_due() if ask_database else set())
        for channel in channels.configured():
            if channel.name in waiting:
                self._thread(channel.name, lambda channel=channel: self._send(channel)).wake()  # type: ignore[misc]
        if settings.ALERT_HEARTBEAT_URL and time.monotonic() >= self._alive_at:
            self._alive_at = time.monotonic() + ALIVE_AGAIN_SECONDS
            self._thread("heartbeat", self._say_alive).wake()

    def _channels_with_due(self) -> set[str]:
        try:
            return set(notices.channels_with_due())
        except AWAY:
            connection.close()
            return set()

    def _thread(self, name: str, work: Callable[[], None]) -> "_Rounds":
        if name not in self._threads:
            self._threads[name] = _Rounds(name, work)
        return self._threads[name]

    def _send(self, channel: Channel) -> None:
        """All that is due, until an attempt fails."""
        while (notice := self._board.take_notice(channel.name)) is not None:
            try:
                is_taken = attempt(channel, notice)
            finally:
                self._board.give_notice(notice)
            if not is_taken:
                return
        while self._ask_database and (notice := notices.claim(channel.name)) is not None:
            is_taken = attempt(channel, notice)
            notices.save(notice)
            if not is_taken:
                return

    def _say_alive(self) -> None:
        try:
            channels.say_alive()
        except (NotTold, OSError, ValueError) as error:
            log.warning("the dead man's switch (ALERT_HEARTBEAT_URL) did not take it: %s", reason_of(error))
        else:
            self._alive_at = time.monotonic() + ALIVE_SECONDS


class _Rounds:
    """A thread that does its work once each time it is woken."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._name, self._work = name, work
        self._woken = threading.Event()
        threading.Thread(target=self._run, name=f"alerts-{name}", daemon=True).start()

    def wake(self) -> None:
        """Once more, after what is under way."""
        self._woken.set()

    def _run(self) -> None:
        while self._woken.wait():
            self._woken.clear()
            try:
                close_old_connections()
                self._work()
            except AWAY:
                log.warning("notices by %s wait: PostgreSQL cannot be used", self._name)
            except Exception:
                log.exception("sending notices by %s failed; they are sent again when due", self._name)
            finally:
                connection.close()


def attempt(channel: Channel, notice: AlertNotice) -> bool:
    """Send one, and note in it what came of that; whether the channel took it."""
    try:
        channel.send(notice)
    except (NotTold, OSError, ValueError) as error:
        notices.note_failed(notice, reason_of(error))
        log.warning("an alert was not told by %s (%s); attempt %d", channel.name, reason_of(error), notice.attempts)
        return False
    notices.note_sent(notice)
    return True


def reason_of(error: Exception) -> str:
    """What went wrong, without addresses: they may be secret."""
    if isinstance(error, NotTold):
        return str(error)
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server answered {error.smtp_code}"
    return type(error).__name__
