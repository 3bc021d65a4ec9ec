"""Conditions about processes, the database, and what can be reached."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from kafka_bridge.consuming import controls
from shop.operations.alerts.alert import Severity
from shop.operations.alerts.finding import Finding, counted
from shop.operations.alerts.limits import Limits
from shop.operations.overview.figures import DatabaseFigures, Overview, Seen

_GIB = 1024**3
_OFTEN = 3
"""Critical is below one part in so many of what is a warning."""


def missing_processes(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Roles of which fewer processes run than should."""
    if (processes := overview.processes.value) is None:
        return
    for missing in processes.missing:
        figures = {"role": missing.role, "present": missing.present, "expected": missing.expected}
        yield Finding(subject=missing.role, figures=figures, since=missing.since)


def unreachable(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Kafka, PostgreSQL and Redis, where they do not answer, or where PostgreSQL takes no writes."""
    sources: dict[str, Seen[object]] = {
        "Kafka": overview.kafka,  # type: ignore[dict-item]
        "PostgreSQL": overview.database,  # type: ignore[dict-item]
        "Redis": overview.redis,  # type: ignore[dict-item]
    }
    for source, seen in sources.items():
        if error := _why_away(seen, overview.at, limits):
            # Without Redis orders are taken and end as they should; pages are slower, and not live.
            severity: Severity = "warning" if source == "Redis" else "critical"
            figures = {"source": source, "error": error}
            yield Finding(subject=source.lower(), figures=figures, since=seen.failing_since, severity=severity)
    if overview.database.value and overview.database.value.is_read_only and not overview.database.error:
        yield Finding(subject="postgresql", figures={"source": "PostgreSQL", "error": "it takes no writes"})


def dead_letters(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Many messages that were given up."""
    return _count(_database(overview).dead_letters, "dead letter", limits.dead_letters)


def refused_messages(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Messages that nobody had stated."""
    return _count(_database(overview).refused_messages, "message")


def mails_given_up(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Mails that failed for good."""
    return _count(_database(overview).mails_given_up, "mail")


def mails_late(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Mails that are due, and not sent."""
    found = _database(overview)
    if found.oldest_mail_seconds > limits.mail_seconds:
        figures = {"count": counted(found.mails_unsent, "mail"), "age": found.oldest_mail_seconds}
        yield Finding(figures=figures, since=_ago(overview, found.oldest_mail_seconds))


def paused_for_long(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """What a person has paused, and nobody has resumed."""
    for pause in _database(overview).pauses:
        paused = overview.at - pause.at
        if paused > timedelta(seconds=limits.paused_seconds):
            place, age = str(controls.place_of(pause)), timedelta(seconds=round(paused.total_seconds()))
            figures = {"place": place, "age": age, "who": pause.who, "reason": pause.reason}
            yield Finding(subject=place, figures=figures, since=pause.at)


def reviews(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Payments that need a person."""
    if (found := _database(overview)).reviews:
        age = timedelta(seconds=round(found.oldest_review_seconds))
        yield Finding(
            figures={"count": counted(found.reviews, "payment"), "age": age},
            since=_ago(overview, found.oldest_review_seconds),
        )


def audit_findings(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Invariants that do not hold."""
    audit = _database(overview).audit
    if audit and not audit.is_clean:
        yield Finding(figures={"wrong": audit.wrong, "names": "; ".join(audit.names)}, since=audit.at)


def outbox_old(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """An event that has not left."""
    outbox = _database(overview).outbox
    if outbox.oldest_seconds > limits.outbox_seconds:
        figures = {"rows": counted(outbox.rows, "event"), "age": outbox.oldest_seconds}
        yield Finding(figures=figures, since=_ago(overview, outbox.oldest_seconds))


def relay_not_leaving(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Events wait, and no relay has sent any lately."""
    outbox = _database(overview).outbox
    if outbox.oldest_seconds > limits.relay_seconds and not _does_relay_send(overview, limits.relay_seconds):
        figures = {"rows": counted(outbox.rows, "event"), "age": outbox.oldest_seconds}
        yield Finding(figures=figures, since=_ago(overview, outbox.oldest_seconds - limits.relay_seconds))


def waiting_orders(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Orders that wait for us for longer than usual; those that wait for a buyer or a carrier are no alert."""
    for waiting in _database(overview).waiting:
        if waiting.group and waiting.orders and waiting.oldest_seconds > waiting.usual_seconds:
            figures = {"sentence": waiting.sentence, "usual": waiting.usual_seconds, "group": waiting.group}
            yield Finding(subject=waiting.stage, figures=figures, url=waiting.url)


def connections(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """PostgreSQL's connections run out."""
    found = _database(overview)
    if found.connections_max and 100 * found.connections / found.connections_max > limits.connections_percent:
        yield Finding(figures={"used": found.connections, "most": found.connections_max})


def clock_skew(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """PostgreSQL's clock and ours differ."""
    ahead = _database(overview).clock_ahead_seconds
    if abs(ahead) > limits.clock_seconds:
        yield Finding(figures={"seconds": abs(ahead), "direction": "ahead of" if ahead > 0 else "behind"})


def disks(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Disks that fill up: those that the one who looks can see, and the brokers'."""
    for disk in overview.disks:
        percent = 100 * disk.free_bytes / disk.size_bytes if disk.size_bytes else 100.0
        if percent < limits.disk_free_percent:
            is_critical = percent < limits.disk_free_percent / _OFTEN
            yield _disk(disk.path, disk.free_bytes, f", {percent:.1f} %", is_critical=is_critical)
    for broker in overview.kafka.value.brokers if overview.kafka.value and not overview.kafka.error else ():
        least = limits.broker_free_mib * 1024**2
        if broker.disk_free_bytes is not None and broker.disk_free_bytes < least:
            is_critical = broker.disk_free_bytes < least / _OFTEN
            yield _disk(f"The disk of broker {broker.id}", broker.disk_free_bytes, "", is_critical=is_critical)


def _disk(place: str, free_bytes: int, share: str, *, is_critical: bool) -> Finding:
    figures = {"place": place, "free": f"{free_bytes / _GIB:.1f} GiB", "share": share}
    return Finding(subject=place, figures=figures, severity="critical" if is_critical else "warning")


def _database(overview: Overview) -> DatabaseFigures:
    assert overview.database.value is not None  # noqa: S101 - conditions are asked only where there is a value
    return overview.database.value


def _count(count: int, noun: str, most: float = 0) -> Iterator[Finding]:
    if count > most:
        yield Finding(figures={"count": counted(count, noun)})


def _ago(overview: Overview, seconds: float) -> datetime:
    return overview.at - timedelta(seconds=seconds)


def _why_away(seen: Seen[object], now: datetime, limits: Limits) -> str:
    """Why it counts as away; empty where it does not."""
    if seen.error:
        return seen.error
    age = seen.age_seconds(now)
    return f"nothing has been heard of it for {age:.0f} s" if age and age > limits.source_age_seconds else ""


def _does_relay_send(overview: Overview, seconds: float) -> bool:
    """Whether a relay says that it has sent something within this time."""
    processes = overview.processes.value
    return processes is not None and any(
        beat.role == "relay" and (beat.progressed_at or 0) > overview.at.timestamp() - seconds
        for beat in processes.heartbeats
    )
