"""All that the operations page may use: one value, read from memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kafka_bridge.consuming.controls import Place
from kafka_bridge.monitoring.cluster_figures import GroupFigures
from kafka_bridge.runtime import topics
from shop.operations.alerts.alert import Alert
from shop.operations.overview.figures import Overview, WaitingOrders
from shop.operations.pages.charts import Series

STALE_SECONDS = 30.0
"""A figure that is older is shown as old."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A group or partition that a person has paused."""

    group: str
    topic: str = ""
    """Empty for the whole group."""
    partition: int | None = None
    who: str
    reason: str
    since: datetime | None

    @property
    def name(self) -> str:
        """Such as `shipping`, or `shipping in orders.events[1]`."""
        return str(Place(group=self.group, topic=self.topic, partition=self.partition))

    @property
    def query(self) -> dict[str, str]:
        """How an address names it."""
        fields = {"group": self.group, "topic": self.topic}
        fields["partition"] = "" if self.partition is None else str(self.partition)
        return {name: value for name, value in fields.items() if value}

    def holds(self, group: str) -> bool:
        """Whether this is about a group, or about its retry topics, which stand still with the whole of it."""
        return group == self.group or (not self.topic and group == topics.retry_group_name(self.group))


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What is known at a moment."""

    now: datetime
    overview: Overview
    alerts: Sequence[Alert] = ()
    past_alerts: Sequence[Alert] = ()
    held: Sequence[Held] = ()
    recent: Sequence[Series] = field(default=())
    """What the figures were, for the charts."""

    @property
    def groups(self) -> Sequence[GroupFigures]:
        """The consumer groups as Kafka last told of them."""
        kafka = self.overview.kafka.value
        return kafka.groups if kafka else ()

    @property
    def waiting(self) -> Sequence[WaitingOrders]:
        """Orders that wait, as PostgreSQL last told of them."""
        database = self.overview.database.value
        return database.waiting if database else ()

    def group(self, name: str) -> GroupFigures | None:
        """A group by its name."""
        return next((group for group in self.groups if group.name == name), None)

    def held_of(self, group: str) -> Held | None:
        """What a person has paused of this group; the whole group first."""
        return min((held for held in self.held if held.holds(group)), key=lambda held: held.name, default=None)
