"""What an experiment shows on a terminal: the question, its progress, a chart, the verdict."""

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from devtools.experiments.plans import Bar, Experiment, Verdict
from shop.site.terminal import LiveScreen

_BAR_WIDTH = 32
_LINE_EVERY_SECONDS = 5.0


class Screen(LiveScreen):
    """Progress: a bar on a terminal, otherwise a line for each step."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, line_every_seconds=_LINE_EVERY_SECONDS)
        self._text = ""

    def show(self, text: str, done: float) -> None:
        """What goes on, and how much is done."""
        bar = ProgressBar(total=1, completed=done, width=_BAR_WIDTH)
        self.update(Group(bar, Text(text, style="dim")), text, at_once=text != self._text)
        self._text = text


def print_list(console: Console, experiments: Sequence[Experiment]) -> None:
    """All experiments, with their predictions."""
    table = Table("experiment", "question", "takes", box=box.SIMPLE_HEAD, pad_edge=False)
    for each in experiments:
        choices = "\n".join(f"{key}: {words}" for key, words in each.choices.items())
        table.add_row(each.name, Group(Text(each.question), Text(choices, style="dim")), f"{each.seconds} s")
    console.print(table)
    console.print("Say what you expect: manage.py experiment keys --predict key", highlight=False, markup=False)


def print_question(console: Console, experiment: Experiment) -> None:
    """What will be done, and what may come of it."""
    console.print(Text(experiment.title, style="bold"))
    console.print(Text(experiment.about))
    console.print()
    console.print(Text(experiment.question, style="bold"))
    for number, words in enumerate(experiment.choices.values(), start=1):
        console.print(f"  {number}  {words}", highlight=False, markup=False)


def print_verdict(console: Console, verdict: Verdict) -> None:
    """The chart, the verdict, and why."""
    finding = verdict.finding
    console.print()
    console.print(Text(finding.chart, style="bold"))
    console.print(chart(finding.bars))
    console.print()
    console.print(Text(finding.verdict, style="bold"))
    style = {True: "green", False: "yellow", None: ""}[verdict.was_right]
    console.print(Text(verdict.answer, style=style))
    console.print()
    for note in finding.notes:
        console.print(Padding(Text(note), (0, 0, 0, 2)))
    console.print()
    said = f"Kafka at {verdict.servers}, seed {verdict.seed}, {verdict.seconds:.0f} s."
    console.print(Text(f"{said} Its topics and groups are deleted.", style="dim"))


def chart(bars: Sequence[Bar]) -> Table:
    """Horizontal bars, the longest as wide as the others allow."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(width=_BAR_WIDTH, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    longest = max((bar.value for bar in bars), default=0)
    for bar in bars:
        table.add_row(bar.label, Text(blocks(bar.value, longest), style="cyan"), bar.words)
    return table


def blocks(value: float, longest: float) -> str:
    """A bar of block characters, in eighths of one; something that is not 0 is seen."""
    if not value or not longest:
        return ""
    eighths = max(1, round(8 * _BAR_WIDTH * value / longest))
    return "█" * (eighths // 8) + "▏▎▍▌▋▊▉"[eighths % 8 - 1] * bool(eighths % 8)
