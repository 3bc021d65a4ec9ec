"""All alerts, as one table: what is wrong, for how long, how bad that is, what a person reads, and what to do.

`conditions` says what a rule looks at; docs/operations.md has this table in words, and a test compares the two.

# Note [How E10 is read]
A shop at rest handles nothing, and a message or two are always under way. So a slow group is one that is *behind*: the
oldest message that it has not read has waited for `behind_seconds`, or there are more than `behind_messages` of them,
for as long as the rule holds. The error rate is one of the last minute, and must be too high for a minute: a single
message that failed has left it by then, and what still fails has not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shop.operations.alerts.alert import Severity
from shop.operations.alerts.conditions import kafka, shop
from shop.operations.alerts.finding import Finding, Source
from shop.operations.alerts.limits import Limits
from shop.operations.overview.figures import Overview


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One row of the table."""

    name: str
    find: Callable[[Overview, Limits], Iterable[Finding]]
    """What is wrong now: each subject with its figures. Called only while the source can be read."""
    source: Source
    """Which part of the overview it looks at; while that cannot be read, nothing is raised and nothing cleared."""
    hold_seconds: float
    """For how long it must be so before anybody is told."""
    clear_seconds: float
    """For how long it must be over before it counts as over."""
    severity: Severity
    sentence: str
    """With the figures' names in braces."""
    advice: str
    url: str
    """The page that shows more, below the shop's address."""


_GROUPS, _PAUSES = "/admin/operations/", "/admin/operations/groups/"
_OUTBOX = "/admin/kafka_bridge/outboxrow/?relay=waiting"

RULES: tuple[Rule, ...] = (
    Rule(
        name="process_missing",
        find=shop.missing_processes,
        source="processes",
        hold_seconds=0,
        clear_seconds=10,
        severity="critical",
        sentence="{role}: {present} of {expected} processes run.",
        advice="Look at the end of its log and start it again. What it should have done waits, and is not lost.",
        url="/admin/operations/",
    ),
    Rule(
        name="source_unreachable",
        find=shop.unreachable,
        source="anything",
        hold_seconds=10,
        clear_seconds=10,
        severity="critical",
        sentence="{source} does not answer ({error}).",
        advice="See whether it runs and can be reached. Orders go on by themselves once it answers; docs/failures.md "
        "says what works meanwhile.",
        url="/admin/operations/",
    ),
    Rule(
        name="lag",
        find=kafka.lagging,
        source="kafka",
        hold_seconds=30,
        clear_seconds=30,
        severity="warning",
        sentence="{group} has {messages} to read.",
        advice="See whether its members work and none is missing. Where they do, start more: up to one for each "
        "partition (docs/operations.md, “Scaling”).",
        url=_GROUPS,
    ),
    Rule(
        name="lag_critical",
        find=kafka.lagging_badly,
        source="kafka",
        hold_seconds=15,
        clear_seconds=30,
        severity="critical",
        sentence="{group} has {messages} to read.",
        advice="The same, at once: buyers wait.",
        url=_GROUPS,
    ),
    Rule(
        name="throughput_low",
        find=kafka.slow,
        source="kafka",
        hold_seconds=30,
        clear_seconds=30,
        severity="warning",
        sentence="{group} handles {rate:.1f} messages a second and is {messages:,} behind, the oldest for {age:.0f} s.",
        advice="See what its members do now: a slow database or gateway shows in their handling times, a member that "
        "does nothing in its last progress.",
        url=_GROUPS,
    ),
    Rule(
        name="no_progress",
        find=kafka.stalled,
        source="kafka",
        hold_seconds=0,
        clear_seconds=15,
        severity="critical",
        sentence="{group} has read nothing of {partitions} for {seconds:.0f} s; {messages} waiting ({state}).",
        advice="`manage.py show_lag` says why. If no member has the partition, start one; if one has it and does "
        "nothing, restart that one.",
        url=_GROUPS,
    ),
    Rule(
        name="paused_by_person",
        find=shop.paused_for_long,
        source="database",
        hold_seconds=0,
        clear_seconds=0,
        severity="warning",
        sentence="{place} has been paused for {age} by {who}: {reason}",
        advice="Resume it when the reason is gone. What is written meanwhile waits in Kafka only for as long as its "
        "topic keeps it.",
        url=_PAUSES,
    ),
    Rule(
        name="error_rate",
        find=kafka.failing,
        source="kafka",
        hold_seconds=60,
        clear_seconds=60,
        severity="critical",
        sentence="{percent:.1f} % of what {group} tried in the last minute failed.",
        advice="The dead letters and the group's log have the error. If it came with a deployment, take that back.",
        url="/admin/kafka_bridge/deadletter/",
    ),
    Rule(
        name="dead_letters",
        find=shop.dead_letters,
        source="database",
        hold_seconds=0,
        clear_seconds=30,
        severity="warning",
        sentence="{count} waiting for a person.",
        advice="`manage.py dead_letters list --kinds` shows their errors; mend the cause, then send them again.",
        url="/admin/kafka_bridge/deadletter/?state__exact=parked",
    ),
    Rule(
        name="retention_about_to_delete_unread",
        find=kafka.about_to_be_deleted,
        source="kafka",
        hold_seconds=0,
        clear_seconds=60,
        severity="critical",
        sentence="{group} has not read a message of {topic} for {age}; after {kept} Kafka deletes it.",
        advice="Make the group catch up, or give the topic a longer retention, before it is too late.",
        url=_GROUPS,
    ),
    Rule(
        name="relay_not_leaving",
        find=shop.relay_not_leaving,
        source="database",
        hold_seconds=5,
        clear_seconds=10,
        severity="critical",
        sentence="No relay sends: {rows} waiting for Kafka, the oldest for {age:.0f} s.",
        advice="See whether a relay runs and what its log says of Kafka. Orders are taken and wait in the outbox.",
        url=_OUTBOX,
    ),
    Rule(
        name="outbox_old",
        find=shop.outbox_old,
        source="database",
        hold_seconds=0,
        clear_seconds=15,
        severity="warning",
        sentence="An event has waited for Kafka for {age:.0f} s; {rows} waiting.",
        advice="If a relay sends, it does not keep up, or Kafka refuses the first event of a key; see the outbox.",
        url=_OUTBOX,
    ),
    Rule(
        name="orders_waiting",
        find=shop.waiting_orders,
        source="database",
        hold_seconds=15,
        clear_seconds=15,
        severity="warning",
        sentence="{sentence} Usual are {usual:.0f} s; it is for {group} to act.",
        advice="See whether that group runs, and whether it is behind. Buyers see that it takes longer.",
        url="",
    ),
    Rule(
        name="audit_finding",
        find=shop.audit_findings,
        source="database",
        hold_seconds=0,
        clear_seconds=0,
        severity="critical",
        sentence="The audit finds {wrong} wrong: {names}.",
        advice="`manage.py audit --repair --dry-run` says what can be mended by itself and what is for a person.",
        url="/admin/shop/auditrun/",
    ),
    Rule(
        name="needs_a_person",
        find=shop.reviews,
        source="database",
        hold_seconds=0,
        clear_seconds=0,
        severity="warning",
        sentence="A person is needed for {count}, the oldest for {age}.",
        advice="Open them in the admin: each says what is known of the money and what to ask the gateway.",
        url="/admin/payments/review/?state=open",
    ),
    Rule(
        name="mails_late",
        find=shop.mails_late,
        source="database",
        hold_seconds=0,
        clear_seconds=30,
        severity="warning",
        sentence="{count} not sent yet, the oldest due for {age:.0f} s.",
        advice="See whether notifications runs and reaches the mail server (EMAIL_URL); its log says what that said.",
        url="/admin/orders/ordermail/?sending=unsent",
    ),
    Rule(
        name="mails_given_up",
        find=shop.mails_given_up,
        source="database",
        hold_seconds=0,
        clear_seconds=0,
        severity="warning",
        sentence="{count} could not be sent.",
        advice="The list says why: try them again, correct the address, or give them up.",
        url="/admin/orders/ordermail/?sending=failed",
    ),
    Rule(
        name="refused_messages",
        find=shop.refused_messages,
        source="database",
        hold_seconds=0,
        clear_seconds=0,
        severity="warning",
        sentence="{count} on a topic that nobody of the shop had stated.",
        advice="Find out who may write to that topic; release a message only if you know where it came from.",
        url="/admin/kafka_bridge/refusedmessage/?state=open",
    ),
    Rule(
        name="connections_near_limit",
        find=shop.connections,
        source="database",
        hold_seconds=30,
        clear_seconds=60,
        severity="warning",
        sentence="PostgreSQL has {used} of {most} connections in use.",
        advice="Stop processes that are not needed, put a pool in between, or raise max_connections. When none is "
        "left, roles that start cannot work.",
        url="/admin/operations/",
    ),
    Rule(
        name="disk",
        find=shop.disks,
        source="anything",
        hold_seconds=30,
        clear_seconds=60,
        severity="warning",
        sentence="{place} has {free} free{share}.",
        advice="Make room, or give it a larger disk; PostgreSQL and Kafka stop when nothing is left.",
        url="/admin/operations/",
    ),
    Rule(
        name="kafka_certificate",
        find=kafka.certificates,
        source="kafka",
        hold_seconds=0,
        clear_seconds=0,
        severity="warning",
        sentence="The certificate of broker {broker} ends {when}.",
        advice="Renew it and restart the brokers one by one; once it has ended, no process reaches Kafka.",
        url="/admin/operations/",
    ),
    Rule(
        name="under_replicated",
        find=kafka.under_replicated,
        source="kafka",
        hold_seconds=30,
        clear_seconds=30,
        severity="warning",
        sentence="{partitions} with fewer copies in step than there should be: {topics}.",
        advice="A broker is away or slow. Bring it back before a second one is lost: below min.insync.replicas nothing "
        "can be written.",
        url="/admin/operations/",
    ),
    Rule(
        name="no_leader",
        find=kafka.without_leader,
        source="kafka",
        hold_seconds=5,
        clear_seconds=10,
        severity="critical",
        sentence="{partitions} without a leader, so nobody reads or writes there: {topics}.",
        advice="Bring the brokers back that have copies of them, the one last in step first.",
        url="/admin/operations/",
    ),
    Rule(
        name="clock_skew",
        find=shop.clock_skew,
        source="database",
        hold_seconds=30,
        clear_seconds=60,
        severity="warning",
        sentence="PostgreSQL's clock is {seconds:.1f} s {direction} this machine's.",
        advice="Let NTP set both clocks; holds, deadlines and the signatures of webhooks go by them.",
        url="/admin/operations/",
    ),
)
