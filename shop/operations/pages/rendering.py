"""The pages themselves: which there are, what each shows, and how it becomes HTML."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from kafka_bridge.monitoring.cluster_figures import GroupFigures
from kafka_bridge.monitoring.heartbeats.heartbeat import MISSED_AFTER_SECONDS
from shop.operations.pages import advice, charts, findings, windows, words
from shop.operations.pages.charts import Chart
from shop.operations.pages.state import STALE_SECONDS, State
from shop.operations.pages.windows import Window

Context = dict[str, Any]
QUERY_NAMES = ("group", "last", "from", "until")
"""What an address may say beside its page."""
QUERY_LENGTH_MAX = 100
STYLES = ("tokens", "elements", "connection", "ops", "ops_tables", "ops_charts")

_INDENT = re.compile(r"\s*\n\s*")


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its name in the address, its title, and what its template is given."""

    name: str
    title: str
    context: Callable[[State, Window], Context]

    @property
    def url(self) -> str:
        """Its address."""
        return f"/ops/{self.name}/" if self.name else "/ops/"

    @property
    def template(self) -> str:
        """Its template."""
        return f"ops/{self.name or 'overview'}.html"


def fragment(page: Page, query: Mapping[str, str], state: State, *, web: str) -> SafeString:
    """The part of the page that changes. `web` is the origin of the role web; empty where it is the page's own."""
    window = windows.of(query, state.now)
    found = findings.find(state)
    level, sentence = findings.verdict(state, found)
    made = render_to_string(
        page.template,
        {
            "page": page,
            "pages": PAGES,
            "query": query,
            "state": state,
            "now": state.now,
            "web": web,
            "window": window,
            "acts": advice.ACTS,
            "findings": found,
            "level": level,
            "verdict": sentence,
            "sources": findings.sources(state),
            **page.context(state, window),
        },
    )
    return mark_safe(_INDENT.sub("\n", made))  # noqa: S308 - the template's own, without what only its authors read


def whole(page: Page, inner: str, *, web: str, version: str) -> str:
    """The whole page around the part that changes."""
    context = {"page": page, "pages": PAGES, "inner": inner, "web": web, "v": version, "styles": STYLES}
    return render_to_string("ops/base.html", context)


def _overview(state: State, window: Window) -> Context:
    return {
        "waiting": [
            {
                "waits": one,
                "is_late": findings.is_late(one),
                "help": advice.of_group(state, one.group) if one.group else None,
            }
            for one in state.waiting
            if one.orders
        ],
        "groups": _group_rows(state),
        "charts": [
            _chart(state, window, "Behind, in seconds", "lag_seconds", words.duration),
            _chart(state, window, "Handled a second", "handled", words.rate),
        ],
        **_source(state, "database"),
    }


def _groups(state: State, window: Window) -> Context:
    chosen = window.rest.get("group", "")
    group = state.group(chosen)
    only = {chosen} if chosen else None
    shown = [
        _chart(state, window, "Behind, in seconds", "lag_seconds", words.duration, only),
        _chart(state, window, "Handled a second", "handled", words.rate, only),
    ]
    if chosen:
        shown.insert(1, _chart(state, window, "Behind, in messages", "lag_messages", words.number, only))
        shown.append(_chart(state, window, "Slowest twentieth takes (p95)", "p95_seconds", words.milliseconds, only))
    return {
        "chosen": chosen,
        "group": group,
        "help": advice.of_group(state, chosen) if chosen else None,
        "held": [(held, advice.resume(held)) for held in state.held if not chosen or held.holds(chosen)],
        "controlled_as": advice.controlled_as(chosen),
        "groups": _group_rows(state),
        "partitions": _partitions(group.partitions) if group else (),
        "charts": shown,
        **_source(state, "kafka"),
    }


def _group_rows(state: State) -> list[Context]:
    """A row for each group; that of its retry topics is a line of it, unless there is no other."""
    rows = {group.name: _group_row(state, group) for group in state.groups}
    for name in [name for name in rows if name.removesuffix(advice.RETRY) in rows.keys() - {name}]:
        retries, row = rows.pop(name), rows[name.removesuffix(advice.RETRY)]
        row["retries"] = retries
        row["level"] = max(row["level"], retries["level"], key=("good", "warn", "bad").index)
    return list(rows.values())


def _group_row(state: State, group: GroupFigures) -> Context:
    held, url = state.held_of(group.name), advice.group_url(group.name)
    is_waited_for = any(one.group == group.name and findings.is_late(one) for one in state.waiting)
    stalled = max((part.stalled_seconds for part in group.partitions), default=0.0)
    is_dead = bool(group.messages and not group.members)
    is_slow = stalled > advice.STALLED_SECONDS or is_waited_for or held is not None
    level = "bad" if is_dead else "warn" if is_slow else "good"
    return {"group": group, "level": level, "held": held, "url": url}


def _partitions(partitions: Sequence[Any]) -> list[Any]:
    return sorted(partitions, key=lambda part: (part.lag.topic, part.lag.partition))


def _topics(state: State, window: Window) -> Context:
    charted = _chart(state, window, "Written a second", "written", words.rate)
    return {"charts": [charted], **_source(state, "kafka")}


def _brokers(state: State, window: Window) -> Context:
    return _source(state, "kafka")


def _processes(state: State, window: Window) -> Context:
    processes = state.overview.processes.value
    beats = processes.heartbeats if processes else ()
    now = state.now.timestamp()
    rows: list[Context] = [{"beat": beat, "is_silent": now - beat.beat_at > MISSED_AFTER_SECONDS} for beat in beats]
    missing = processes.missing if processes else ()
    present: dict[str, int] = {}
    for row in rows:
        present[row["beat"].role] = present.get(row["beat"].role, 0) + (not row["is_silent"])
    expected = sorted((processes.expected if processes else {}).items())
    return {
        "rows": rows,
        "expected": [(role, count, present.get(role, 0)) for role, count in expected],
        "missing": [(one, advice.of_role(one.role)) for one in missing],
        **_source(state, "processes"),
    }


def _outbox(state: State, window: Window) -> Context:
    return {
        "charts": [
            _chart(state, window, "Events that have not left", "outbox_rows", words.number),
            _chart(state, window, "The oldest of them waits, in seconds", "outbox_seconds", words.duration),
        ],
        **_source(state, "database"),
    }


def _dead_letters(state: State, window: Window) -> Context:
    retried = [
        part.lag
        for group in state.groups
        for part in group.partitions
        if part.lag.state == "retrying" or (part.lag.parked and (part.lag.parked.retrying or part.lag.parked.dead))
    ]
    return {"retried": retried, **_source(state, "database")}


def _gateway(state: State, window: Window) -> Context:
    processes = state.overview.processes.value
    rows = [
        (beat, dependency)
        for beat in (processes.heartbeats if processes else ())
        for dependency in beat.dependencies
        if dependency.name == "gateway"
    ]
    return {"rows": rows, **_source(state, "database")}


def _alerts(state: State, window: Window) -> Context:
    return {"alerts": state.alerts, "past": state.past_alerts}


def _source(state: State, name: str) -> Context:
    seen: Any = getattr(state.overview, name)
    age = seen.age_seconds(state.now)
    is_stale = bool(seen.error) or age is None or age > STALE_SECONDS
    return {"seen": seen, name: seen.value, "age": age, "is_stale": is_stale}


def _chart(
    state: State,
    window: Window,
    title: str,
    figure: str,
    say: Callable[[float], str],
    only: set[str] | None = None,
) -> Chart:
    # A chart of all groups would have two lines for each, one of them nearly always at 0.
    is_shown = only.__contains__ if only is not None else lambda name: not name.endswith(advice.RETRY)
    series = [one for one in state.recent if one.figure == figure and is_shown(one.name)]
    ceilings = charts.NUMBERS if say in (words.number, words.rate) else charts.DURATIONS
    return charts.draw(title, series, since=window.since, until=window.until, say=say, ceilings=ceilings)


PAGES = (
    Page("", "Overview", _overview),
    Page("groups", "Groups", _groups),
    Page("topics", "Topics", _topics),
    Page("brokers", "Brokers", _brokers),
    Page("processes", "Processes", _processes),
    Page("outbox", "Outbox", _outbox),
    Page("dead-letters", "Retries and dead letters", _dead_letters),
    Page("gateway", "Gateway", _gateway),
    Page("alerts", "Alerts", _alerts),
)


def find(name: str) -> Page | None:
    """A page by its name in the address."""
    return next((page for page in PAGES if page.name == name), None)
