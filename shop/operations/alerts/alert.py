"""One alert, as pages, commands, mails and webhooks show it."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

Severity = Literal["critical", "warning"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """Something that must not stay as it is."""

    name: str
    """The rule's, such as `process_missing`; with the subject it says which alert this is."""
    subject: str
    """What it is about, such as a group or a role; empty where there is only one of it."""
    severity: Severity
    message: str
    """One sentence, with the figures in it."""
    advice: str
    """What to do, in one or two sentences."""
    since: datetime
    """When the condition began to hold."""
    raised_at: datetime
    """When it had held for long enough to be told."""
    cleared_at: datetime | None = None
    told_at: datetime | None = None
    """When people were told of it last."""
    silenced_until: datetime | None = None
    silenced_because: str = ""
    url: str = ""
    """The page that shows more, without the origin."""
    id: UUID = field(default_factory=uuid4)
    """Of this time that it was raised; the same in every notice of it."""

    @property
    def key(self) -> tuple[str, str]:
        """Which alert this is; of each there is at most one that holds."""
        return self.name, self.subject

    def is_silenced(self, now: datetime) -> bool:
        """Whether a person has said that nobody is to be told."""
        return self.silenced_until is not None and self.silenced_until > now

    def silenced(self, *, until: datetime | None, because: str) -> "Alert":
        """The same, silenced until then, or not at all."""
        return replace(self, silenced_until=until, silenced_because=because)
