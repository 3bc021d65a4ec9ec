"""What each process does in PostgreSQL, by app and model; `database_grants.py` brings it there.

# Note [Who may state what]
An app's facts are stated by the processes that may write all of its tables, and by no other: the rows they may add to
the outbox are those of its topics (row security). So nobody can state an order's facts who cannot change orders, though
one relay publishes for all. In the same way a consumer group sees and writes only its own rows of the inbox and of what
it has parked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from django.apps import apps
from django.conf import settings
from django.db.models import Model

from kafka_bridge.consuming import registry

ALL = "SELECT, INSERT, UPDATE, DELETE"
# What a group's own rows are of, row security sees to. Dead letters come to their table by a group of their own, but a
# group closes those that it has handled, and stores one itself whose topic refuses it.
_BRIDGE_OF_GROUPS = {
    "kafka_bridge.InboxRow": "SELECT, INSERT",
    "kafka_bridge.OutboxRow": "SELECT, INSERT",
    "kafka_bridge.ParkedMessage": ALL,
    "kafka_bridge.RefusedMessage": "SELECT, INSERT",
    "kafka_bridge.UnknownEvent": "SELECT, INSERT, UPDATE",
    "kafka_bridge.DeadLetter": "SELECT, INSERT, UPDATE",
    "kafka_bridge.DeadLetterAct": "SELECT, INSERT",
    "kafka_bridge.GroupControl": "SELECT",
}
# Every process says that it lives.
_OF_PROCESSES = {"kafka_bridge.ProcessHeartbeat": "SELECT, INSERT, UPDATE"}
# What the overview counts, beside the tables of whole apps; see shop/operations/overview/database.py.
_SEEN_BY_OPERATORS = (
    "payments.Review",
    "kafka_bridge.OutboxRow",
    "kafka_bridge.ParkedMessage",
    "kafka_bridge.DeadLetter",
    "kafka_bridge.RefusedMessage",
    "kafka_bridge.GroupControl",
)
# Who has handled a message, as the window on Kafka shows it.
_SEEN_IN_THE_WINDOW = ("kafka_bridge.InboxRow",)
_SERVE_ALL_APPS = ("web", "timekeeper")


@dataclass(frozen=True, kw_only=True)
class DatabaseRole:
    """A role and its rights. Apps by label, models as `app.Model`; an app stands for all of its models."""

    name: str
    writes: tuple[str, ...] = ()
    """What it reads, adds, changes and deletes."""
    reads: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)
    """By model, rights in PostgreSQL's own words."""
    member_of: tuple[str, ...] = ()
    """Roles that PostgreSQL brings, whose rights it has too."""
    group: str = ""
    """The consumer group whose rows of the bridge's tables are its own; empty: it is none, and sees those of all."""

    @property
    def states(self) -> set[str]:
        """Apps whose facts it may state; see Note [Who may state what]."""
        return {name for name in self.writes if "." not in name}

    def rights(self) -> dict[type[Model], str]:
        """By model, its rights in PostgreSQL's own words."""
        found = {model: "SELECT" for name in self.reads for model in _models(name)}
        found |= {model: ALL for name in self.writes for model in _models(name)}
        return found | {apps.get_model(name): rights for name, rights in self.also.items()}


def _group(name: str, *, writes: tuple[str, ...] = (), reads: tuple[str, ...] = ()) -> DatabaseRole:
    return DatabaseRole(name=name, writes=writes, reads=reads, also=_BRIDGE_OF_GROUPS | _OF_PROCESSES, group=name)


ROLES = (
    # Staff act on orders, stock and payments in the admin, so the web server may do what these apps may.
    DatabaseRole(
        name="web",
        writes=("orders", "inventory", "payments", "shop", "auth", "account", "sessions", "admin"),
        reads=("contenttypes", "kafka_bridge"),
        also=_OF_PROCESSES
        | {
            "kafka_bridge.OutboxRow": "SELECT, INSERT",
            "kafka_bridge.ParkedMessage": ALL,
            "kafka_bridge.DeadLetter": "SELECT, UPDATE",
            "kafka_bridge.DeadLetterAct": "SELECT, INSERT",
            "kafka_bridge.InboxRow": "SELECT, INSERT",
            "kafka_bridge.RefusedMessage": "SELECT, UPDATE",
            "kafka_bridge.GroupControl": "SELECT, INSERT, UPDATE (ended_at, ended_by, ended_because)",
        },
    ),
    # It evaluates the alerts where no timekeeper does.
    DatabaseRole(
        name="live",
        reads=(
            "orders",
            "inventory",
            "shop",
            "sessions",
            "auth",
            "contenttypes",
            *_SEEN_BY_OPERATORS,
            *_SEEN_IN_THE_WINDOW,
        ),
        also=_OF_PROCESSES
        | {
            "shop.AlertRecord": "SELECT, INSERT, UPDATE",
            "shop.AlertNotice": "SELECT, INSERT, UPDATE",
            "shop.AlertEvaluation": "SELECT, INSERT, UPDATE",
        },
    ),
    # The outbox and nothing else; of a row it changes where it lies now.
    DatabaseRole(
        name="relay",
        also=_OF_PROCESSES | {"kafka_bridge.OutboxRow": 'SELECT, UPDATE (published_at, partition, "offset")'},
    ),
    # Runs every app's jobs by the clock, audits all books, and deletes what is old.
    DatabaseRole(
        name="timekeeper",
        writes=("orders", "inventory", "payments", "shop", "kafka_bridge", "sessions"),
        reads=("auth", "contenttypes", "admin"),
    ),
    _group("orders", writes=("orders",), reads=("payments.Charge",)),
    _group("shipping", writes=("orders",)),
    _group("notifications", writes=("orders.OrderMail",), reads=("orders",)),
    _group("inventory", writes=("inventory",), reads=("payments.Charge",)),
    _group("payments", writes=("payments",)),
    _group(
        "analytics",
        writes=("shop.DailySales", "shop.BookSales", "shop.BookPrice", "shop.BookHour", "shop.SearchHour"),
    ),
    DatabaseRole(
        name="dead_letters",
        writes=("kafka_bridge.DeadLetter", "kafka_bridge.DeadLetterAct", "kafka_bridge.ParkedMessage"),
        reads=("kafka_bridge.InboxRow", "kafka_bridge.GroupControl"),
        also=_OF_PROCESSES,
    ),
    DatabaseRole(name="postgres_exporter", member_of=("pg_monitor",)),
)


def all_roles() -> tuple[DatabaseRole, ...]:
    """`ROLES`, and those of services that were added (`EXTRA_APPS`).

    Each group that such an app brings has a role of its own, with the app's tables; staff see these in the admin, and
    the timekeeper runs the app's jobs.
    """
    extra = {app.name: app.label for app in apps.get_app_configs() if app.name in settings.EXTRA_APPS}
    labels, known = tuple(extra.values()), {role.name for role in ROLES}
    added = [_group(name, writes=labels) for name, labels in _extra_groups(extra).items() if name not in known]
    grown = [replace(role, writes=(*role.writes, *labels)) if role.name in _SERVE_ALL_APPS else role for role in ROLES]
    return (*grown, *added)


def _extra_groups(extra: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """By group, the labels of the added apps that have its handlers."""
    found = {}
    for group in registry.groups():
        modules = {each.function.__module__ for handlers in group.handlers.values() for each in handlers}
        if apps_of := [label for name, label in extra.items() if any(m.startswith(f"{name}.") for m in modules)]:
            found[group.name] = tuple(apps_of)
    return found


def _models(name: str) -> list[type[Model]]:
    if "." in name:
        return [apps.get_model(name)]
    return list(apps.get_app_config(name).get_models(include_auto_created=True))
