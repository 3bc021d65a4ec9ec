"""How many cores, processes, partitions, brokers, bytes and connections a rate of orders takes.

# Note [What is multiplied]
A role's cores are the rate, with headroom, times what an order costs it, plus what its processes take at rest. A
process runs Python on one core at most, so a role gets a process for each core begun. Where a process waits more than
it computes (payments for the gateway, notifications for the mail server), the time that it waits decides.

# Note [Steady and busy]
The cost is taken at a low steady rate, where nearly every message is a batch of its own. With more to do, batches fill
and an order costs less: `busy` is what it came to as fast as orders were taken. A plan with the former is on the safe
side; what it would be with the latter is said beside it. Whether one process can do it at all is judged by the latter:
one that is nearly at its limit has full batches.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from kafka_bridge.consuming import consumer_groups
from kafka_bridge.runtime import clients
from kafka_bridge.wire import event_types
from shop.operations.capacity.cost import OrderCost

DAY = 24 * 3600
# One leads; a second one does nothing.
LEADERS = ("relay", "timekeeper")
# At least two, so that one may be replaced.
SERVERS = ("web", "live")
_GATEWAY_CALLS_PER_ORDER = 2  # authorize, and capture
_BROKERS_MIN, _PARTITIONS_MIN = 3, 3
# Administrators, monitoring, a backup.
_OTHER_CONNECTIONS = 20
# What the timekeeper deletes again; every other table only grows.
_PRUNED_TABLES = ("kafka_bridge_", "shop_auditrun", "shop_auditprogress")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked for: rates a second at the busiest hour, times in seconds."""

    orders_per_second: float
    mean_orders_per_second: float
    """Over weeks: decides what is stored."""
    headroom: float = 1.5
    pages_per_order: float = 20.0
    gateway_seconds: float = 0.5
    gateway_calls_at_once: int = 32
    """Of one payments process."""
    mail_seconds: float = 0.02
    broker_cores: float = 4.0
    member_rates: Mapping[str, float] | None = None
    """By group, messages per second that one member was seen to handle, instead of what its processor time says."""


@dataclass(frozen=True, kw_only=True)
class RolePlan:
    """One role."""

    role: str
    cores: float
    cores_when_busy: float
    processes: int
    because: str
    """What decides how many processes there are."""


@dataclass(frozen=True, kw_only=True)
class KafkaPlan:
    """The brokers; bytes with all copies."""

    partitions: int
    brokers: int
    copies: int
    cores: float
    stored_bytes: float
    days_kept: float
    """How long a message is kept at this rate: the topic's time, or less where its size ends it."""
    days_wanted: float
    partitions_for_days: int
    """Partitions with which the topics' time decides, and not their size."""


@dataclass(frozen=True, kw_only=True)
class PostgresPlan:
    """The primary; a standby is as big."""

    cores: float
    connections: int
    bytes_per_day: float
    """What stays."""
    passing_bytes: float
    """What is there of tables that are pruned, once that has begun."""
    wal_bytes_per_second: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the rate takes."""

    wish: Wish
    roles: tuple[RolePlan, ...]
    kafka: KafkaPlan
    postgres: PostgresPlan
    redis_cores: float
    redis_cores_when_busy: float

    @property
    def cores(self) -> float:
        """Of everything, without PostgreSQL's standby."""
        return sum(role.cores for role in self.roles) + self.kafka.cores + self.postgres.cores + self.redis_cores

    @property
    def too_much_for(self) -> dict[str, float]:
        """By name, the cores of those that only one process can do and that would need more than one."""
        single = {role.role: role.cores_when_busy for role in self.roles if role.role in LEADERS}
        single["redis"] = self.redis_cores_when_busy
        return {name: cores for name, cores in single.items() if cores > 1}


def make(cost: OrderCost, wish: Wish) -> Plan:
    """What this rate takes, by what an order was measured to cost."""
    groups = [group.name for group in consumer_groups.all_groups()]
    roles = tuple(_role(name, cost, wish) for name in (*SERVERS, *LEADERS, *groups))
    return Plan(
        wish=wish,
        roles=roles,
        kafka=_kafka(cost, wish),
        postgres=_postgres(cost, wish, roles),
        redis_cores=_cores("redis", cost, wish),
        redis_cores_when_busy=_cores("redis", cost, wish, is_busy=True),
    )


def _cores(process: str, cost: OrderCost, wish: Wish, *, is_busy: bool = False) -> float:
    """Cores of one process for orders and pages, without what it takes at rest."""
    load = cost.busy if is_busy else cost.steady
    ms = load.ms_per_order.get(process, 0.0) + wish.pages_per_order * _page_ms(process, cost)
    return wish.orders_per_second * wish.headroom * ms / 1000


def _page_ms(process: str, cost: OrderCost) -> float:
    """Of those that serve pages; what others took meanwhile was something else."""
    return cost.ms_per_page.get(process, 0.0) if process in ("web", "postgres", "redis") else 0.0


def _role(name: str, cost: OrderCost, wish: Wish) -> RolePlan:
    cores = _cores(name, cost, wish)
    processes, because = max(_reasons(name, cores, cost, wish), key=lambda reason: reason[0])
    at_rest = processes * cost.ms_per_second_at_rest.get(name, 0.0) / 1000
    return RolePlan(
        role=name,
        cores=cores + at_rest,
        cores_when_busy=_cores(name, cost, wish, is_busy=True) + at_rest,
        processes=processes,
        because=because,
    )


def _reasons(name: str, cores: float, cost: OrderCost, wish: Wish) -> list[tuple[int, str]]:
    """Numbers of processes, each with what wants so many."""
    if name in LEADERS:
        return [(2, "one leads, one stands by")]
    found = [(2, "one may be replaced") if name in SERVERS else (1, "there must be one")]
    found.append((math.ceil(cores), "a core each"))
    wanted = wish.orders_per_second * wish.headroom
    if name == "payments":
        calls = wanted * _GATEWAY_CALLS_PER_ORDER * wish.gateway_seconds / wish.gateway_calls_at_once
        found.append((math.ceil(calls), f"a gateway call takes {wish.gateway_seconds:g} s"))
    if name == "notifications":
        mails = wanted * cost.handled_per_order.get(name, 0.0) * wish.mail_seconds
        found.append((math.ceil(mails), f"a mail takes {wish.mail_seconds:g} s"))
    if rate := (wish.member_rates or {}).get(name):
        messages = wanted * cost.handled_per_order.get(name, 0.0)
        found.append((math.ceil(messages / rate), f"one was seen to handle {rate:,.0f} messages/s"))
    return found


def _kafka(cost: OrderCost, wish: Wish) -> KafkaPlan:
    conf = clients.conf()
    copies = max(3, conf.replication_factor)
    # Each copy is taken to cost as much as the first; followers were not measured.
    measured = sum(_cores(name, cost, wish) for name in cost.steady.ms_per_order if name.startswith("kafka"))
    cores = copies * measured
    brokers = max(_BROKERS_MIN, math.ceil(cores / wish.broker_cores))
    partitions = _partitions(cost, wish)
    kept, wanted, enough = _days_kept(cost, wish, partitions)
    bytes_per_second = wish.mean_orders_per_second * sum(cost.kafka_bytes_per_order.values())
    return KafkaPlan(
        partitions=partitions,
        brokers=brokers,
        copies=copies,
        cores=cores,
        stored_bytes=bytes_per_second * copies * kept * DAY,
        days_kept=kept,
        days_wanted=wanted,
        partitions_for_days=enough,
    )


def _partitions(cost: OrderCost, wish: Wish) -> int:
    """As many as the group with the most members at work.

    Processes that only wait (for the gateway, for the mail server) do so without a partition as well.
    """
    members = [_PARTITIONS_MIN]
    for group in consumer_groups.all_groups():
        by_cores = math.ceil(_cores(group.name, cost, wish))
        rate = (wish.member_rates or {}).get(group.name)
        messages = wish.orders_per_second * wish.headroom * cost.handled_per_order.get(group.name, 0.0)
        members.append(math.ceil(messages / rate) if rate else by_cores)
    return _in_threes(max(members))


def _days_kept(cost: OrderCost, wish: Wish, partitions: int) -> tuple[float, float, int]:
    """Days for which the fullest topic keeps a message, for which it should, and partitions with which it would."""
    messages = sum(cost.messages_per_order.values()) or 1.0
    each = sum(cost.kafka_bytes_per_order.values()) / messages
    found: list[tuple[float, float, int]] = []
    for topic in event_types.topics():
        wanted = topic.retention_seconds / DAY
        per_day = wish.mean_orders_per_second * cost.messages_per_order.get(topic.name, 0.0) * each * DAY
        holds = topic.retention_bytes * (topic.partitions or partitions)
        days = min(wanted, holds / per_day) if per_day else wanted
        found.append((days, wanted, _in_threes(wanted * per_day / topic.retention_bytes)))
    return min(found)


def _in_threes(count: float) -> int:
    """Rounded up to what three brokers share evenly."""
    return math.ceil(count / _BROKERS_MIN) * _BROKERS_MIN


def _postgres(cost: OrderCost, wish: Wish, roles: tuple[RolePlan, ...]) -> PostgresPlan:
    conf = clients.conf()
    passing = {name: size for name, size in cost.table_bytes_per_order.items() if name.startswith(_PRUNED_TABLES)}
    staying = sum(cost.table_bytes_per_order.values()) - sum(passing.values())
    days = max(conf.inbox_days, conf.outbox_days)
    sessions = sum(role.processes * cost.steady.connections.get(role.role, 1) for role in roles)
    return PostgresPlan(
        cores=_cores("postgres", cost, wish),
        connections=sessions + _OTHER_CONNECTIONS,
        bytes_per_day=wish.mean_orders_per_second * staying * DAY,
        passing_bytes=wish.mean_orders_per_second * sum(passing.values()) * DAY * days,
        wal_bytes_per_second=wish.orders_per_second * sum(cost.wal_bytes_per_order.values()),
    )
