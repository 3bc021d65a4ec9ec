"""The thread that brings counts to Kafka: about once a second, what was counted since."""

import logging
import threading
from collections.abc import Iterator, Mapping

from django.conf import settings

from events import catalogue
from kafka_bridge.publishing.lossy_publisher import LossyPublisher
from kafka_bridge.wire.events import Event
from shop.activity import counting
from shop.activity.counting import CartChange, Counts, Fact, Search, Tally

log = logging.getLogger(__name__)
EVERY_SECONDS = 1.0
CLOSE_SECONDS = 2.0


class Sender:
    """Counts, and the thread that sends them, from `start` to `stop`."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="activity", daemon=True)

    def start(self) -> None:
        """Send from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Send what was counted, for a moment."""
        self._stopping.set()
        self._thread.join(2 * CLOSE_SECONDS)

    def _run(self) -> None:
        # In this thread, for the client is made when the first page may wait for an answer.
        publisher = LossyPublisher()
        while not self._stopping.wait(EVERY_SECONDS):
            try:
                self._send(publisher)
            except Exception:
                log.exception("what visitors did within a second was not told")
        self._send(publisher)
        publisher.close(CLOSE_SECONDS)

    def _send(self, publisher: LossyPublisher) -> None:
        for event in events(self.counts.take()):
            publisher.publish(event)
        publisher.poll()


def events(counted: Mapping[Fact, Tally]) -> Iterator[Event]:
    """What is told of these counts."""
    for fact, tally in counted.items():
        if isinstance(fact, CartChange):
            yield catalogue.CartChanged(sku=fact.sku, change=fact.change, copies=tally.copies, times=tally.times)
        elif isinstance(fact, Search):
            yield catalogue.SearchMade(words=fact.words, found=fact.found, times=tally.times)
        else:
            yield catalogue.PageViewed(page=fact.page, sku=fact.sku, views=tally.times)


_sender: Sender | None = None


def start() -> None:
    """Count and send in this process, unless the setting says no."""
    global _sender
    if settings.ACTIVITY_EVENTS and _sender is None:
        _sender = Sender()
        _sender.start()


def stop() -> None:
    """Send what there is, and count no more."""
    global _sender
    if _sender is not None:
        sender, _sender = _sender, None
        sender.stop()


def counts() -> counting.Counts | None:
    """Where this process counts; None where it does not."""
    return _sender.counts if _sender is not None else None
