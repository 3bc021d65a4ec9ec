"""The saga as a table and as a diagram, read off the registry."""

from dataclasses import dataclass

from events import catalogue
from kafka_bridge.consuming import registry

COLUMNS = ("event", "topic", "said by", *(f"heard by ({flow})" for flow in catalogue.FLOWS))


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
        for event in catalogue.EVENTS
    ]


def as_markdown() -> str:
    """The table at the top of the catalogue."""
    table = [COLUMNS, *(row.cells for row in rows())]
    widths = [max(len(cells[i]) for cells in table) for i in range(len(COLUMNS))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |" for cells in table]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def as_mermaid() -> str:
    """A flowchart: apps and groups as boxes, events as arrows; an arrow of one flow only names it."""
    lines = ["flowchart LR"]
    for event in catalogue.EVENTS:
        heard = {flow: registry.listeners(event, {"flow": flow}) for flow in catalogue.FLOWS}
        for listener in sorted({name for names in heard.values() for name in names}):
            flows = [flow for flow, names in heard.items() if listener in names]
            label = event.TYPE if len(flows) == len(catalogue.FLOWS) else f"{event.TYPE}<br/>{flows[0]}"
            lines.append(f'    {event.TOPIC.owner} -- "{label}" --> {listener}')
    return "\n".join(lines)
