"""What `manage.py check_alerts` prints."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kafka_bridge import admin as facts
from shop.operations.alerts.alert import Alert
from shop.operations.alerts.checking import Told
from shop.operations.alerts.telling import notices

_STYLES = {"critical": "bold red", "warning": "bold yellow"}


def as_json(found: Sequence[Alert]) -> str:
    """A JSON list of the alerts."""
    return json.dumps([_fields(alert) for alert in found])


def page(found: Sequence[Alert], now: datetime) -> RenderableType:
    """A table for people, with what to do below each."""
    if not found:
        return Text(f"No alert holds ({now:%H:%M:%S} UTC).")
    table = Table(title="Alerts", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_lines=False)
    for column in ("alert", "since", "what is wrong, and what to do"):
        table.add_column(column, no_wrap=column == "since", overflow="fold")
    for alert in found:
        said = Group(Text(alert.message), Text(alert.advice, style="dim"), *_silence(alert, now))
        name = Text(f"{alert.name} {alert.subject}".strip(), style=_STYLES[alert.severity])
        table.add_row(name, facts.as_age(now - alert.since), said)
    return table


def told_as_json(told: Sequence[Told]) -> str:
    """A JSON list of channels."""
    return json.dumps([asdict(each) for each in told])


def told_in_words(told: Sequence[Told]) -> str:
    """A line for each channel."""
    if not told:
        return "No channel is set up: see ALERT_MAIL_TO, ALERT_WEBHOOK_URL and ALERT_CHAT_URL in docs/operations.md."
    return "\n".join(f"{each.channel}: {'taken' if each.is_taken else f'not taken ({each.error})'}" for each in told)


def _fields(alert: Alert) -> dict[str, object]:
    silenced = alert.silenced_until and alert.silenced_until.isoformat(timespec="seconds")
    return notices.as_json(alert) | {"silenced_until": silenced, "silenced_because": alert.silenced_because}


def _silence(alert: Alert, now: datetime) -> list[Text]:
    if not alert.is_silenced(now):
        return []
    return [Text(f"silenced until {alert.silenced_until:%d %b, %H:%M} UTC: {alert.silenced_because}", style="italic")]
