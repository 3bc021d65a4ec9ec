"""What the bridge can be told, one sentence an option: `KAFKA_BRIDGE = BridgeSettings(...)` in a project's settings.

A project's settings module imports this one, so it asks Django for nothing until `current` is called.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

COPY_HEADROOM_BYTES = 64 * 1024
"""For what the bridge adds to a copy of a message: its origin, the error, the traceback."""
MISSING = (
    "KAFKA_BRIDGE is missing from the settings, or is no BridgeSettings: add `from kafka_bridge import BridgeSettings` "
    'and `KAFKA_BRIDGE = BridgeSettings(bootstrap_servers="localhost:9092")`'
)


@dataclass(frozen=True, kw_only=True)
class BridgeSettings:
    """Options of producers, consumers and topics; times in seconds, sizes in bytes."""

    bootstrap_servers: str
    """Where the cluster is: `host:port`, several with commas."""
    security_protocol: str = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    sasl_mechanism: str = ""
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 when the protocol is a SASL one."""
    sasl_username: str = ""
    """One principal per role, so that ACLs can say who may state which facts."""
    sasl_password: str = ""
    """The principal's secret; keep it in the environment, not in a file of the project."""
    ssl_ca_location: str = ""
    """Path of the authority that signed the brokers' certificates; empty for the system's own."""
    ssl_certificate_location: str = ""
    """Path of a certificate of our own (PEM), for brokers that know their clients by it; with the protocol SSL."""
    ssl_key_location: str = ""
    """Path of that certificate's private key (PEM)."""
    principal_prefix: str = ""
    """Goes before every role's name among the brokers' principals; `create_acls` changes rights of no other ones."""
    role_passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By role, what it signs in with; only where `create_acls` runs, which tells the brokers."""
    observers: tuple[str, ...] = ()
    """Roles beside the timekeeper that see topics and lag, such as a dashboard's; `create_acls` gives the rights."""
    client_id: str = "kafka-bridge"
    """What clients call themselves to the brokers; a name for each role makes their logs and quotas readable."""
    namespace: str = "events"
    """Who states the events, in CloudEvents' words: `/namespace/owner` is their source, `urn:namespace:…` a schema."""
    group_prefix: str = ""
    """Goes before every consumer group's name."""
    topic_prefix: str = ""
    """Goes before every topic's name, so that two projects (or two test runs) can share a cluster."""
    group_protocol: str = "consumer"
    """`consumer` (KIP-848, brokers from 4.0) or `classic` with the cooperative-sticky assignor."""
    replication_factor: int = 1
    """Copies of each partition; 3 on a cluster of three brokers or more."""
    min_insync_replicas: int = 1
    """Copies that must have a record before it counts as written; 2 of 3 survives the loss of one broker."""
    partitions: int = 3
    """Partitions of a topic whose catalogue entry does not say otherwise."""
    max_message_bytes: int = 1_048_588
    """The largest message that topics take, compressed as it comes; retry and dead letter topics take 64 KiB more."""
    batch_size: int = 500
    """Messages that a consumer takes into one transaction at the most."""
    batch_linger_seconds: float = 0.005
    """How long a consumer waits for more messages once it has one; a fifth of it where they come one by one."""
    commit_seconds: float = 0.25
    """How often a consumer commits its offsets at most; after a crash, messages of so long come again to the inbox."""
    max_poll_interval_seconds: float = 300.0
    """A consumer that has not asked for messages for so long is thrown out of its group."""
    attempts: int = 3
    """How often a message's handler is tried in its place, before the message is parked."""
    backoff_seconds: float = 0.2
    """Pause before the second attempt in its place; it doubles with each further one."""
    retry_delays_seconds: tuple[float, ...] = (5.0, 30.0, 120.0)
    """Pauses before the attempts from the retry topic; after the last one a message goes to the dead letters."""
    retry_overdue_seconds: float = 60.0
    """A parked message whose copy in the retry topic is this late is tried without it."""
    dead_letters_in_row: int = 50
    """So many dead letters without one handled message in between stop a group; 0: no number does."""
    backoff_max_seconds: float = 10.0
    """The longest pause between attempts while PostgreSQL, Kafka or what a handler needs cannot be reached."""
    relay_batch_size: int = 1000
    """Outbox rows that the relay sends before it waits for their delivery reports."""
    relay_poll_seconds: float = 1.0
    """How often the relay looks for rows that no notification announced."""
    consumer_silent_seconds: float = 60.0
    """A consumer that keeps a transaction open and asks PostgreSQL nothing for so long loses it."""
    leader_silent_seconds: float = 30.0
    """A leader that PostgreSQL has not heard for so long is replaced by one that stands by."""
    database_answer_seconds: float = 20.0
    """A statement of a long-running process that takes so long is ended; the process waits, and tries it again."""
    inbox_days: float = 40.0
    """How long it is kept which events a group has had; longer than any message can come again."""
    outbox_days: float = 40.0
    """How long events that have left are kept for people who look; not longer than the inbox."""
    sample_days: float = 14.0
    """How long samples of the lag are kept."""
    dead_letter_days: float = 90.0
    """How long dead letters that are resolved or discarded are kept, with what was done to them."""
    delivery_timeout_seconds: float = 300.0
    """How long the producer itself retries before it reports a row as not delivered."""
    lag_sample_seconds: float = 15.0
    """How often the timekeeper notes how far the groups are behind; 0: never."""
    unavailable_errors: tuple[type[BaseException], ...] = ()
    """Exceptions that mean that something outside is away, such as `redis.ConnectionError`: wait, and try again."""
    schema_folder: str = ""
    """Where `write_schemas` puts the events' JSON Schemas, unless it is told."""
    ready_file: str = ""
    """A file that a long-running command touches once it is at work, for whoever started it; empty: none."""
    alive_file: str = ""
    """A file whose modification time is when a long-running command's loop came round last; empty: none."""
    role_variable: str = ""
    """The environment variable that tells a child of `run_consumer` its name; empty: none does."""
    version: str = ""
    """What is deployed, as heartbeats say it; empty: the bridge's own version."""
    heartbeat_stores: tuple[str, ...] = ()
    """Classes that keep the heartbeats of processes beside the table, by their dotted paths: a Redis, for one."""
    heartbeat_table_seconds: float = 60.0
    """How often a process writes its heartbeat into PostgreSQL; where no other store has it, every 5 seconds or so."""
    broker_metrics_urls: tuple[str, ...] = ()
    """Where brokers show their JMX to Prometheus, as `1=http://host:port/metrics`; figures about others are unknown."""
    metrics_prefix: str = "kafka_bridge"
    """What the names of metrics begin with."""
    metrics_host: str = "127.0.0.1"
    """The address on which a process shows its metrics to Prometheus."""
    metrics_port: int = 0
    """The port of that; with `--instances` the first one's, and the others take the next ones; 0: it shows none."""
    metrics_port_variable: str = ""
    """The environment variable that tells a child of `run_consumer` its port; empty: none does."""
    traces: bool = False
    """Whether spans go to an OTLP back end; where that is, OpenTelemetry's own variables say (extra `traces`)."""
    traces_ratio: float = 1.0
    """Of how many stories the spans are recorded: 0.1 for a tenth."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the project calls these options outside, such as `{"inbox_days": "KEEP_INBOX_DAYS"}`; messages say it so."""


def current() -> BridgeSettings:
    """The project's, read when needed so that tests can replace them.

    Raises:
        ImproperlyConfigured: there are none.
    """
    try:
        options: BridgeSettings = settings.KAFKA_BRIDGE
    except AttributeError:
        raise ImproperlyConfigured(MISSING) from None
    return options


def max_copy_bytes() -> int:
    """The largest message that retry and dead letter topics take, and that producers send."""
    return current().max_message_bytes + COPY_HEADROOM_BYTES


def are_there() -> bool:
    """Whether the project has such settings; a system check says so if it has not."""
    return isinstance(getattr(settings, "KAFKA_BRIDGE", None), BridgeSettings)


def name_of(option: str) -> str:
    """What people who run the project call an option."""
    return current().variables.get(option, f"KAFKA_BRIDGE.{option}")
