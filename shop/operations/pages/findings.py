"""What an operator has to know first: what is wrong, since when, and what to do.

Alerts say it when their rule has held for long enough. Until then, and while nobody evaluates them, the figures
themselves do: a source that cannot be read, a process that is missing, what a person has paused, orders that wait
longer than usual.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

from shop.operations.alerts.alert import Alert
from shop.operations.overview.figures import Seen, WaitingOrders
from shop.operations.pages import advice, words
from shop.operations.pages.advice import Link
from shop.operations.pages.state import STALE_SECONDS, State

Level = Literal["bad", "warn", "good"]
SOURCES = ("processes", "kafka", "database", "redis")
_TITLES = {"processes": "Processes", "kafka": "Kafka", "database": "PostgreSQL", "redis": "Redis"}
_WITHOUT = {
    "processes": "Who runs is not known just now.",
    "kafka": "Orders are taken and wait in the outbox; nothing is lost. See to the brokers: they go on by themselves.",
    "database": "No page and no order works. See to PostgreSQL; what is in Kafka waits for it.",
    "redis": "Orders are taken; pages are slower and do not update live. See to Redis; nothing is lost.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something to act on."""

    level: Level
    sentence: str
    since: datetime | None
    why: str = ""
    todo: str = ""
    links: Sequence[Link] = ()
    commands: Sequence[str] = ()
    subject: str = ""
    silenced_until: datetime | None = None
    silenced_because: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One of those that figures come from."""

    title: str
    level: Level
    words: str
    age_seconds: float | None
    is_stale: bool


def find(state: State) -> list[Finding]:
    """All that is wrong, the worst and oldest first; what is silenced last."""
    alerts = [_of_alert(state, alert) for alert in state.alerts]
    told = {finding.subject for finding in alerts if finding.subject}
    found = [*alerts, *_unread(state), *_missing(state, told), *_paused(state), *_late(state, told)]
    never = state.now
    return sorted(found, key=lambda one: (bool(one.silenced_until), one.level != "bad", one.since or never))


def sources(state: State) -> list[Source]:
    """Each source, with its age."""
    return [_source(state, name, getattr(state.overview, name)) for name in SOURCES]


def _source(state: State, name: str, seen: Seen[Any]) -> Source:
    age = seen.age_seconds(state.now)
    stale = age is None or age > STALE_SECONDS
    if seen.error:
        since = f" since {words.clock(seen.failing_since)}" if seen.failing_since else ""
        return Source(title=_TITLES[name], level="bad", words=f"{seen.error}{since}", age_seconds=age, is_stale=True)
    if stale:
        text = "nothing read yet" if age is None else "not read for a while"
        return Source(title=_TITLES[name], level="warn", words=text, age_seconds=age, is_stale=True)
    return Source(title=_TITLES[name], level="good", words=_answers(seen.value), age_seconds=age, is_stale=False)


def _answers(value: Any) -> str:
    seconds = getattr(value, "answer_seconds", None)
    return "seen" if seconds is None else f"answers in {words.milliseconds(seconds)}"


def _of_alert(state: State, alert: Alert) -> Finding:
    name = alert.subject.partition(" in ")[0]
    help_ = advice.of_group(state, name) if state.group(name) else None
    more = [_more(alert.url)] if alert.url else []
    links = more + [link for link in help_.links if link not in more] if help_ else more
    waits = _waiting_for(state, alert.subject)
    links = [*(Link("These orders", one.url, is_of_web=True) for one in waits), *links]
    sentences = [help_.why] if help_ and help_.why != alert.message else []
    sentences += [words.sentence(one.sentence) for one in waits]
    query = urlencode({"name": alert.name, "subject": alert.subject})
    silence = Link("Silence…", f"/admin/shop/alertsilence/new/?{query}", is_of_web=True)
    return Finding(
        level="bad" if alert.severity == "critical" else "warn",
        sentence=alert.message,
        since=alert.since,
        why=" ".join(sentences),
        todo=alert.advice,
        links=[*links, silence],
        commands=help_.commands if help_ else advice.start_commands(alert.subject) if _is_process(alert) else (),
        subject=alert.subject,
        silenced_until=alert.silenced_until,
        silenced_because=alert.silenced_because,
    )


def _more(url: str) -> Link:
    """The page that an alert names; what leads to the operations page from elsewhere is a page of it from here."""
    own = url.replace("/admin/operations/", "/ops/", 1) if url.startswith("/admin/operations/") else ""
    return Link("More", own) if own else Link("More", url, is_of_web=True)


def _is_process(alert: Alert) -> bool:
    return alert.name == "process_missing" and bool(alert.subject)


def _unread(state: State) -> Iterator[Finding]:
    for name in SOURCES:
        seen: Seen[Any] = getattr(state.overview, name)
        if seen.error:
            age = seen.age_seconds(state.now)
            shown = f" What is shown of it is {words.duration(float(int(age)))} old." if age is not None else ""
            yield Finding(
                level="bad",
                sentence=f"{_TITLES[name]} cannot be read: {seen.error}.",
                since=seen.failing_since,
                todo=_WITHOUT[name] + shown,
                subject=name,
            )


def _missing(state: State, told: set[str]) -> Iterator[Finding]:
    seen = state.overview.processes
    for one in seen.value.missing if seen.value and not seen.error else ():
        if one.role in told:
            continue
        help_ = advice.of_role(one.role)
        waits = _waiting_for(state, one.role)
        many = f" ({one.present} of {one.expected})" if one.expected > 1 else ""
        yield Finding(
            level="bad",
            sentence=f"{one.role} is not running{many}.",
            since=one.since,
            why=" ".join(words.sentence(each.sentence) for each in waits),
            todo=help_.todo,
            links=[
                *(Link("These orders", each.url, is_of_web=True) for each in waits),
                *([Link(f"Group {one.role}", advice.group_url(one.role))] if state.group(one.role) else []),
                *help_.links,
            ],
            commands=help_.commands,
            subject=one.role,
        )


def _paused(state: State) -> Iterator[Finding]:
    told = {alert.subject for alert in state.alerts if alert.name == "paused_by_person"}
    for held in state.held:
        if held.name in told:
            continue
        waits = _waiting_for(state, held.group)
        yield Finding(
            level="warn",
            sentence=f"{held.name} is paused by {held.who}: {held.reason}",
            since=held.since,
            why=" ".join(words.sentence(each.sentence) for each in waits),
            todo=advice.RESUME,
            links=[
                *(Link("These orders", each.url, is_of_web=True) for each in waits),
                Link(f"Group {held.group}", advice.group_url(held.group)),
                *advice.resume(held),
            ],
            subject=held.name,
        )


def _waiting_for(state: State, group: str) -> list[WaitingOrders]:
    """Orders that this group must move on, and that are late."""
    return [one for one in state.waiting if group and one.group == group and is_late(one)]


def is_late(waiting: WaitingOrders) -> bool:
    """Whether they wait longer than usual."""
    return waiting.orders > 0 and waiting.oldest_seconds > waiting.usual_seconds


def _late(state: State, told: set[str]) -> Iterator[Finding]:
    read_at = state.overview.database.at or state.now
    for waiting in state.waiting:
        if not is_late(waiting) or not waiting.group or waiting.group in told or _is_told(state, waiting.group):
            continue
        help_ = advice.of_group(state, waiting.group)
        yield Finding(
            level="warn",
            sentence=words.sentence(waiting.sentence),
            since=read_at - timedelta(seconds=waiting.oldest_seconds),
            why=help_.why,
            todo=help_.todo,
            links=[Link("These orders", waiting.url, is_of_web=True), *help_.links],
            commands=help_.commands,
            subject=waiting.group,
        )


def _is_told(state: State, group: str) -> bool:
    """Whether the missing process, or what a person has paused, says it already."""
    if any(held.group == group for held in state.held):
        return True
    seen = state.overview.processes
    return bool(seen.value and not seen.error and any(one.role == group for one in seen.value.missing))


def verdict(state: State, found: Sequence[Finding]) -> tuple[Level, str]:
    """The page's one answer to "is it well?"."""
    open_ = [one for one in found if not one.silenced_until]
    if not open_:
        if any(source.is_stale for source in sources(state)):
            return "warn", "Not everything can be seen"
        return "good", "All is well"
    level: Level = "bad" if any(one.level == "bad" for one in open_) else "warn"
    if len(open_) == 1:
        late = _waiting_for(state, open_[0].subject)
        rest = f", and {words.plural(sum(one.orders for one in late), 'order')} wait" if late else ""
        return level, open_[0].sentence.rstrip(".") + rest * (open_[0].level == "bad")
    return level, f"{open_[0].sentence.rstrip('.')}, and {words.plural(len(open_) - 1, 'more thing')}"
