"""What the bridge can be told, one sentence an option; `shop/settings.py` fills it from the environment."""

from dataclasses import dataclass


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
    group_prefix: str = "bookrush."
    """Goes before every consumer group's name."""
    topic_prefix: str = ""
    """Goes before every topic's name, so that two shops (or two test runs) can share a cluster."""
    group_protocol: str = "consumer"
    """`consumer` (KIP-848, brokers from 4.0) or `classic` with the cooperative-sticky assignor."""
    replication_factor: int = 1
    """Copies of each partition; 3 on a cluster of three brokers or more."""
    min_insync_replicas: int = 1
    """Copies that must have a record before it counts as written; 2 of 3 survives the loss of one broker."""
    partitions: int = 3
    """Partitions of a topic whose catalogue entry does not say otherwise."""
    batch_size: int = 500
    """Messages that a consumer takes into one transaction at the most."""
    batch_linger_seconds: float = 0.005
    """How long a consumer waits for more messages once it has one."""
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
    """The longest pause between attempts while PostgreSQL, Redis or Kafka cannot be reached."""
    relay_batch_size: int = 1000
    """Outbox rows that the relay sends before it waits for their delivery reports."""
    relay_poll_seconds: float = 1.0
    """How often the relay looks for rows that no notification announced."""
    consumer_silent_seconds: float = 60.0
    """A consumer that keeps a transaction open and asks PostgreSQL nothing for so long loses it."""
    leader_silent_seconds: float = 30.0
    """A leader that PostgreSQL has not heard for so long is replaced by one that stands by."""
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
