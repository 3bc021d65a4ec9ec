"""Holds the rules against what is seen. Nothing here reads, writes or tells: it says what has changed.

# Note [What cannot be read]
While a source does not answer, what it said last is old, and says neither that a condition holds nor that it is over.
So the rules that look at it are left out: what was raised stays raised, and what was about to be raised waits. That the
source is away is an alert of its own.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shop.operations.alerts.alert import Alert
from shop.operations.alerts.finding import Finding
from shop.operations.alerts.limits import Limits
from shop.operations.alerts.rules import RULES, Rule
from shop.operations.overview.figures import Overview, Seen

log = logging.getLogger(__name__)
Key = tuple[str, str]
_SUBJECT_LENGTH, _MESSAGE_LENGTH = 120, 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What an evaluation found."""

    raised: Sequence[Alert] = ()
    held: Sequence[Alert] = ()
    """Those that were raised before, with the figures of now."""
    cleared: Sequence[Alert] = ()


@dataclass
class Evaluation:
    """The rules, and since when each condition holds, or is over, as far as this process has seen it."""

    limits: Limits = field(default_factory=Limits)
    rules: Sequence[Rule] = RULES
    _since: dict[Key, datetime] = field(default_factory=dict)
    _over_since: dict[Key, datetime] = field(default_factory=dict)

    def forget(self) -> None:
        """Another process evaluates: what this one has seen is no longer of use."""
        self._since.clear()
        self._over_since.clear()

    def step(self, overview: Overview, raised: Mapping[Key, Alert]) -> Changes:
        """Hold every rule against this overview, given the alerts that are raised."""
        found: dict[Key, tuple[Rule, Finding]] = {}
        known = set[str]()
        for rule in self.rules:
            findings = self._findings(rule, overview)
            if findings is not None:
                known.add(rule.name)
                found |= {(rule.name, each.subject[:_SUBJECT_LENGTH]): (rule, each) for each in findings}
        unknown = {rule.name for rule in self.rules} - known
        self._note(found, raised, unknown, overview.at)
        return Changes(
            raised=[
                _raise(*found[key], since=self._begun(key, found[key][1]), now=overview.at)
                for key in found
                if key not in raised and self._has_held(key, *found[key], now=overview.at)
            ],
            held=[_refresh(raised[key], *found[key]) for key in raised if key in found],
            cleared=self._cleared(found, raised, unknown, overview.at),
        )

    def _findings(self, rule: Rule, overview: Overview) -> list[Finding] | None:
        """None where it cannot be told; see Note [What cannot be read]."""
        if rule.source != "anything" and not _can_be_read(getattr(overview, rule.source), overview.at, self.limits):
            return None
        try:
            return list(rule.find(overview, self.limits))
        except Exception:
            log.exception("the rule %s failed; the others are evaluated", rule.name)
            return None

    def _note(self, found: Mapping[Key, object], raised: Mapping[Key, Alert], unknown: set[str], now: datetime) -> None:
        """Remember since when each condition holds, or is over."""
        for key in found:
            self._since.setdefault(key, now)
            self._over_since.pop(key, None)
        for key in raised:
            if key not in found and key[0] not in unknown:
                self._over_since.setdefault(key, now)
        self._since = {key: at for key, at in self._since.items() if key in found or key[0] in unknown}
        self._over_since = {key: at for key, at in self._over_since.items() if key in raised}

    def _begun(self, key: Key, finding: Finding) -> datetime:
        return min(finding.since or self._since[key], self._since[key])

    def _has_held(self, key: Key, rule: Rule, finding: Finding, *, now: datetime) -> bool:
        return now - self._begun(key, finding) >= timedelta(seconds=rule.hold_seconds)

    def _cleared(
        self, found: Mapping[Key, object], raised: Mapping[Key, Alert], unknown: set[str], now: datetime
    ) -> list[Alert]:
        # A rule that an update has taken away is over at once.
        clear_seconds = {rule.name: rule.clear_seconds for rule in self.rules}
        return [
            replace(alert, cleared_at=now)
            for key, alert in raised.items()
            if key not in found
            and key[0] not in unknown
            and now - self._over_since[key] >= timedelta(seconds=clear_seconds.get(key[0], 0.0))
        ]


def worst_first(alerts: Iterable[Alert]) -> list[Alert]:
    """Critical ones first, and of those the oldest."""
    return sorted(alerts, key=lambda alert: (alert.severity != "critical", alert.since, alert.key))


def _can_be_read(seen: Seen[object], now: datetime, limits: Limits) -> bool:
    age = seen.age_seconds(now)
    return age is not None and not seen.error and age <= limits.source_age_seconds


def _raise(rule: Rule, finding: Finding, *, since: datetime, now: datetime) -> Alert:
    return Alert(
        name=rule.name,
        subject=finding.subject[:_SUBJECT_LENGTH],
        severity=finding.severity or rule.severity,
        message=_sentence(rule, finding),
        advice=rule.advice.format_map(finding.figures),
        since=since,
        raised_at=now,
        url=finding.url or rule.url,
    )


def _refresh(alert: Alert, rule: Rule, finding: Finding) -> Alert:
    return replace(alert, severity=finding.severity or rule.severity, message=_sentence(rule, finding))


def _sentence(rule: Rule, finding: Finding) -> str:
    return " ".join(rule.sentence.format_map(finding.figures).split())[:_MESSAGE_LENGTH]
