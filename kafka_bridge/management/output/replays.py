"""What `manage.py replay_events` prints."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kafka_bridge.consuming import registry
from kafka_bridge.replaying.offset_ranges import OffsetRange
from kafka_bridge.replaying.projections import Shadow
from kafka_bridge.replaying.replay import ReplayOutcome
from kafka_bridge.replaying.shadow_tables import RowDifference

SHOWN = 40


def print_replay(
    console: Console,
    group: registry.Group,
    outcome: ReplayOutcome,
    ranges: Sequence[OffsetRange],
    notes: Sequence[str],
    options: Mapping[str, Any],
) -> None:
    """A table of events by type, what failed, and a sentence."""
    table = Table("event", title=f"{options['topic']} → {group.name}" + " (dry run)" * options["dry_run"])
    table.add_column("would be new" if options["dry_run"] else "new", justify="right")
    table.add_column("had before", justify="right")
    for kind in sorted({*outcome.new, *outcome.had}):
        table.add_row(kind, f"{outcome.new[kind]:,}", f"{outcome.had[kind]:,}")
    if table.row_count:
        console.print(table)
    for failure in outcome.failures[:SHOWN]:
        what = f"{failure.place} {failure.type} of {failure.key}: {failure.error}"
        console.print(f"[red]failed[/] {escape(what)}", soft_wrap=True)
    for note in notes:
        console.print(f"[yellow]{escape(note)}[/]", soft_wrap=True)
    console.print(_sentence(group, outcome), highlight=False, soft_wrap=True)


def print_shadow(console: Console, shadow: Shadow, found: Sequence[RowDifference], options: Mapping[str, Any]) -> None:
    """A table of what differs, and a sentence."""
    table = Table("table", "row", "column", title=f"{shadow.group.name}: what differs from the log")
    table.add_column("was" if options["apply"] else "in use", justify="right")
    table.add_column("is" if options["apply"] else "by the log", justify="right")
    for each in found[:SHOWN]:
        for name, in_use, rebuilt in _columns(each):
            table.add_row(each.table, each.key, name, in_use, rebuilt)
    if found:
        console.print(table)
    if len(found) > SHOWN:
        console.print(f"… and {len(found) - SHOWN:,} rows more; --json has all")
    if not shadow.is_complete:
        console.print(f"[yellow]{escape(shadow.why_incomplete())}[/]", soft_wrap=True)
    end = f"{len(found):,} rows put right." if options["apply"] and found else ""
    console.print(
        f"{shadow.heard:,} events rebuilt the tables. " + (end or ("" if found else "Nothing differs.")),
        highlight=False,
        soft_wrap=True,
    )


def _sentence(group: registry.Group, outcome: ReplayOutcome) -> str:
    parts = [
        f"{outcome.read:,} read",
        f"{outcome.new.total():,} new",
        f"{group.name} had {outcome.had.total():,} before",
    ]
    for count, words in (
        (outcome.not_heard, "not asked for"),
        (outcome.waiting, "waiting behind a failure"),
        (outcome.malformed, "malformed"),
        (len(outcome.failures), "failed"),
        (outcome.left_out, "left out behind those that failed"),
    ):
        if count:
            parts.append(f"{count:,} {words}")
    return ", ".join(parts) + "."


def where_to_go_on(outcome: ReplayOutcome, ranges: Sequence[OffsetRange]) -> str:
    """The options with which a replay that was stopped goes on."""
    return "To go on: " + "; ".join(
        f"--partition {each.log_range.partition} --from {outcome.reached[each.partition_id]}"
        for each in ranges
        if outcome.reached[each.partition_id] < each.stop
    )


def replay_as_json(
    group: registry.Group,
    outcome: ReplayOutcome,
    ranges: Sequence[OffsetRange],
    notes: Sequence[str],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """A replay for machines."""
    return {
        "group": group.name,
        "topic": options["topic"],
        "dry_run": options["dry_run"],
        "is_whole": outcome.is_whole,
        "read": outcome.read,
        "new": dict(outcome.new),
        "had": dict(outcome.had),
        "not_heard": outcome.not_heard,
        "waiting": outcome.waiting,
        "malformed": outcome.malformed,
        "failures": [asdict(each) for each in outcome.failures],
        "left_out": outcome.left_out,
        "partitions": [
            {
                "partition": each.log_range.partition,
                "from": each.start,
                "to": each.stop,
                "reached": outcome.reached[each.partition_id],
            }
            for each in ranges
        ],
        "notes": list(notes),
    }


def _columns(each: RowDifference) -> list[tuple[str, str, str]]:
    """Name, value in use and value by the log, of the columns that differ."""
    in_use, rebuilt = each.in_use, each.rebuilt
    if in_use is None or rebuilt is None:
        row = in_use or rebuilt or {}
        shown = ", ".join(f"{name} {value}" for name, value in row.items() if str(value) != each.key)
        return [("all", shown if in_use else "no row", shown if rebuilt else "no row")]
    return [(name, str(value), str(rebuilt[name])) for name, value in in_use.items() if value != rebuilt[name]]


def shadow_as_json(shadow: Shadow, found: Sequence[RowDifference], *, applied: bool) -> dict[str, Any]:
    """A shadow for machines."""
    return {
        "group": shadow.group.name,
        "heard": shadow.heard,
        "lost": shadow.lost,
        "is_complete": shadow.is_complete,
        "applied": applied,
        "differences": [
            {"table": each.table, "key": each.key, "in_use": each.in_use, "anew": each.rebuilt} for each in found
        ],
    }
