"""Where the operations page gets its state from: what this process knows, and its own memory of the last hour."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils import timezone

from shop.operations.alerts.alert import Alert
from shop.operations.overview.figures import Overview, Seen
from shop.operations.pages.charts import Series
from shop.operations.pages.recent import EVERY_SECONDS, Recent
from shop.operations.pages.state import Held, State

log = logging.getLogger(__name__)


def _nothing_seen() -> Overview:
    return Overview(at=timezone.now(), processes=Seen(), kafka=Seen(), database=Seen(), redis=Seen())


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Functions that answer from memory. None of them may wait for anybody."""

    overview: Callable[[], Overview] = _nothing_seen
    alerts: Callable[[], Sequence[Alert]] = tuple
    past_alerts: Callable[[], Sequence[Alert]] = tuple
    held: Callable[[], Sequence[Held]] = tuple
    stored: Callable[[], Sequence[Series]] = tuple
    """What was stored before this process began; the one that may wait, and may raise."""


class Reader:
    """Reads the sources for all pages, and remembers what they said."""

    def __init__(self, sources: Sources | None = None) -> None:
        self._sources = sources or Sources()
        self._recent = Recent()
        self._lock = threading.Lock()

    def use(self, sources: Sources) -> None:
        """From now on these, noted every few seconds by a thread that ends with the process."""
        self._sources = sources
        threading.Thread(target=self._note_for_ever, name="ops-recent", daemon=True).start()
        threading.Thread(target=self._take_stored, name="ops-stored", daemon=True).start()

    def read(self) -> State:
        """What is known now."""
        overview = self._sources.overview()
        with self._lock:
            self._recent.note(overview)
            recent = self._recent.series()
        return State(
            now=timezone.now(),
            overview=overview,
            alerts=self._sources.alerts(),
            past_alerts=self._sources.past_alerts(),
            held=self._sources.held(),
            recent=recent,
        )

    def _take_stored(self) -> None:
        waiting = threading.Event()
        while True:
            try:
                stored = self._sources.stored()
                break
            except Exception:
                log.debug("what was stored of the last day cannot be read now", exc_info=True)
                waiting.wait(EVERY_SECONDS)
        with self._lock:
            self._recent.put_before(stored)

    def _note_for_ever(self) -> None:
        waiting = threading.Event()
        while not waiting.wait(EVERY_SECONDS):
            try:
                overview = self._sources.overview()
                with self._lock:
                    self._recent.note(overview)
            except Exception:
                log.exception("the operations page has missed a sample")
