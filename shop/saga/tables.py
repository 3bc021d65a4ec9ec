"""The saga as tables and as a diagram: events and what is believed of them, read off the registry, and the questions
that are no events.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from events import catalogue
from kafka_bridge.consuming import registry
from shop.saga.questions import QUESTIONS

COLUMNS = ("event", "topic", "said by", *(f"heard by ({flow})" for flow in catalogue.FLOWS))

BELIEF_COLUMNS = ("who hears", "whom", "of what", "and believes it if")
BELIEFS = "What is believed: a message moves nothing before it is borne out."
QUESTION_COLUMNS = ("who asks", "whom", "what", "when", "answered by")
BETWEEN = "Questions, which are no events: the answer is needed in the asker's own transaction."


@dataclass(frozen=True)
class Row:
    """One event: where it goes, who says it, who hears it in each flow, and what follows."""

    cells: tuple[str, ...]
    so_that: str


def rows() -> list[Row]:
    """A row for each event, in the catalogue's order."""
    return [
        Row(
            cells=(
                event.TYPE,
                event.TOPIC.name,
                event.TOPIC.owner,
                *(", ".join(registry.listeners(event, {"flow": flow})) for flow in catalogue.FLOWS),
            ),
            so_that=(event.__doc__ or "").splitlines()[0],
        )
        for event in catalogue.ALL_EVENTS
    ]


def belief_rows() -> list[tuple[str, ...]]:
    """A row for each group and each app that it hears: of which events, and the function that bears them out."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for group in registry.groups():
        for event in catalogue.ALL_EVENTS:
            if group.knows(event):
                belief = group.belief_of(event)
                name = f"{belief.__module__}.{belief.__qualname__}" if belief else "whatever comes"
                found.setdefault((group.name, event.TOPIC.owner, name), []).append(event.TYPE)
    return [(group, owner, ", ".join(types), name) for (group, owner, name), types in found.items()]


def question_rows() -> list[tuple[str, ...]]:
    """A row for each question that one app asks another."""
    return [(each.asker, each.asked, each.what, each.when, each.answered_by) for each in QUESTIONS]


def as_markdown() -> str:
    """The tables at the top of the catalogue: the events, what is believed, and the questions."""
    events = _table([COLUMNS, *(row.cells for row in rows())])
    beliefs = _table([BELIEF_COLUMNS, *belief_rows()])
    return f"{events}\n\n{BELIEFS}\n\n{beliefs}\n\n{BETWEEN}\n\n{_table([QUESTION_COLUMNS, *question_rows()])}"


def _table(table: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cells[i]) for cells in table) for i in range(len(table[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |" for cells in table]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def as_mermaid() -> str:
    """A flowchart: apps and groups as boxes, events as arrows; an arrow of one flow only names it.

    Questions, and what bears messages out, are dotted arrows to the app that is asked.
    """
    lines = ["flowchart LR"]
    for event in catalogue.ALL_EVENTS:
        heard = {flow: registry.listeners(event, {"flow": flow}) for flow in catalogue.FLOWS}
        for listener in sorted({name for names in heard.values() for name in names}):
            flows = [flow for flow, names in heard.items() if listener in names]
            label = event.TYPE if len(flows) == len(catalogue.FLOWS) else f"{event.TYPE}<br/>{flows[0]}"
            lines.append(f'    {event.TOPIC.owner} -- "{label}" --> {listener}')
    lines += [f'    {group} -. "{name.rpartition(".")[2]}?" .-> {owner}' for group, owner, _, name in belief_rows()]
    lines += [f'    {each.asker} -. "{each.answered_by.rpartition(".")[2]}?" .-> {each.asked}' for each in QUESTIONS]
    return "\n".join(lines)
