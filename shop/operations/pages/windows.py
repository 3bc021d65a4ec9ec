"""Which time a page's charts show, as its address says; and the addresses of a narrower, earlier or later one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

SPANS = ((300, "5 min"), (900, "15 min"), (3600, "1 h"), (21_600, "6 h"), (86_400, "1 day"))
DEFAULT_SECONDS = 900
SHORTEST_SECONDS, LONGEST_SECONDS = 30, 7 * 86_400


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several addresses."""

    words: str
    url: str
    is_chosen: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A time from `since` to `until`; one that moves on ends now."""

    since: datetime
    until: datetime
    moves_on: bool
    rest: Mapping[str, str]
    """What else the address says."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.until - self.since).total_seconds()

    def spans(self) -> Sequence[Choice]:
        """The usual lengths, up to now."""
        return [
            Choice(words, self._url(last=str(seconds)), self.moves_on and round(self.seconds) == seconds)
            for seconds, words in SPANS
        ]

    def moves(self) -> Sequence[Choice]:
        """Steps from here, for who has no mouse to draw with."""
        half = self.seconds / 2
        found = [
            Choice("Earlier", self._shifted(-half, -half)),
            Choice("Narrower", self._shifted(half / 2, -half / 2)),
            Choice("Wider", self._shifted(-half, half)),
        ]
        if not self.moves_on:
            found.append(Choice("Later", self._shifted(half, half)))
            found.append(Choice("Now", self._url(last=str(round(self.seconds)))))
        return found

    def _shifted(self, start: float, end: float) -> str:
        since = self.since + timedelta(seconds=start)
        until = max(self.until + timedelta(seconds=end), since + timedelta(seconds=SHORTEST_SECONDS))
        return self._url(**{"from": str(round(since.timestamp())), "until": str(round(until.timestamp()))})

    def _url(self, **fields: str) -> str:
        return f"?{urlencode({**self.rest, **fields})}"


def of(query: Mapping[str, str], now: datetime) -> Window:
    """What the address asks for; what it cannot mean is the default."""
    rest = {name: value for name, value in query.items() if name not in ("last", "from", "until")}
    start, end = _number(query.get("from")), _number(query.get("until"))
    if start is not None and end is not None and SHORTEST_SECONDS <= end - start <= LONGEST_SECONDS:
        return Window(since=_moment(start), until=_moment(end), moves_on=False, rest=rest)
    last = _number(query.get("last")) or DEFAULT_SECONDS
    last = min(max(last, SHORTEST_SECONDS), LONGEST_SECONDS)
    return Window(since=now - timedelta(seconds=last), until=now, moves_on=True, rest=rest)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 11 else None


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
