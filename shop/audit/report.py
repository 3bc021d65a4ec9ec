"""What an audit found, and how it is printed."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

EXAMPLES = 5
"""How many violations of an invariant are listed; all are counted."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result for one invariant."""

    name: str
    sentence: str
    """The rule as a sentence."""
    count: int
    """Number of violations; 0 if it holds."""
    examples: tuple[str, ...] = ()
    """Up to `EXAMPLES` of them, in words, with ids."""
    note: str = ""
    """Why it could not be checked, where that is not a violation itself."""

    def as_json(self) -> dict[str, Any]:
        """`{name, count, examples}`, and `note` where there is one."""
        found: dict[str, Any] = {"name": self.name, "count": self.count, "examples": list(self.examples)}
        return found | {"note": self.note} if self.note else found


@dataclass(frozen=True)
class AuditReport:
    """One audit: a finding for each invariant, whether it holds or not."""

    findings: tuple[Finding, ...]
    seconds: float
    """How long it took."""

    @property
    def is_clean(self) -> bool:
        """Whether every invariant holds."""
        return not self.broken

    @property
    def broken(self) -> tuple[Finding, ...]:
        """The invariants that do not hold."""
        return tuple(finding for finding in self.findings if finding.count)

    def as_json(self) -> dict[str, Any]:
        """`{clean, seconds, invariants: [{name, count, examples}]}`."""
        return {
            "clean": self.is_clean,
            "seconds": round(self.seconds, 3),
            "invariants": [finding.as_json() for finding in self.findings],
        }


def print_report(report: AuditReport, console: Console, *, title: str = "Audit") -> None:
    """Print a line for each invariant, with the examples of violations, and the result."""
    table = Table(title=title, show_edge=False, title_justify="left")
    table.add_column("invariant")
    table.add_column("found", justify="right", no_wrap=True)
    for finding in report.findings:
        table.add_row(_words(finding), _verdict(finding))
    console.print(table)
    console.print(_sum_up(report))


def _words(finding: Finding) -> RenderableType:
    below = [Text(finding.note, style="dim")] if finding.note else []
    if not finding.count:
        return Group(finding.name, *map(_indented, below))
    more = finding.count - len(finding.examples)
    below += [Text(line) for line in (*finding.examples, *([f"and {more:,} more"] if more else []))]
    return Group(Text(finding.name, style="bold"), Text(finding.sentence), *map(_indented, below))


def _indented(line: Text) -> Padding:
    return Padding(line, (0, 0, 0, 2))


def _verdict(finding: Finding) -> Text:
    if finding.count:
        return Text(f"{finding.count:,} wrong", style="bold red")
    return Text("not asked", style="yellow") if finding.note else Text("holds", style="green")


def _sum_up(report: AuditReport) -> Text:
    took, all_, broken = f"{report.seconds:.1f} s", len(report.findings), len(report.broken)
    if report.is_clean:
        return Text(f"Clean: {all_} invariants hold ({took}).", style="bold green")
    verb = "does" if broken == 1 else "do"
    return Text(f"Something is off: {broken} of {all_} invariants {verb} not hold ({took}).", style="bold red")
