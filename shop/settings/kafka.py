"""The bridge to Kafka."""

import redis

from kafka_bridge import BridgeSettings
from shop.settings.environment import (
    ACCOUNT_NAME,
    ACCOUNT_PASSWORD,
    ACCOUNT_PREFIX,
    ALIVE_FILE,
    BASE_DIR,
    READY_FILE,
    ROLE,
    ROLE_PASSWORDS,
    env,
)

# Whether pages seen, searches and changes of carts are counted and told to analytics.
ACTIVITY_EVENTS = env.bool("ACTIVITY_EVENTS", default=True)
KEEP_ACTIVITY_DAYS = env.float("KEEP_ACTIVITY_DAYS", default=30.0)
KAFKA_BRIDGE = BridgeSettings(
    client_id=ROLE,
    namespace="bookrush",
    bootstrap_servers=env.str("KAFKA_BOOTSTRAP_SERVERS", default="127.0.0.1:9092"),
    security_protocol=env.str("KAFKA_SECURITY_PROTOCOL", default="PLAINTEXT"),
    sasl_mechanism=env.str("KAFKA_SASL_MECHANISM", default=""),
    sasl_username=env.str("KAFKA_SASL_USERNAME", default="") or ACCOUNT_NAME,
    sasl_password=env.str("KAFKA_SASL_PASSWORD", default="") or ACCOUNT_PASSWORD,
    ssl_ca_location=env.str("KAFKA_SSL_CA_LOCATION", default=""),
    ssl_certificate_location=env.str("KAFKA_SSL_CERTIFICATE_LOCATION", default=""),
    ssl_key_location=env.str("KAFKA_SSL_KEY_LOCATION", default=""),
    principal_prefix=ACCOUNT_PREFIX,
    role_passwords=ROLE_PASSWORDS,
    # The live role shows the page of operations.
    observers=("live", *env.list("KAFKA_OBSERVERS", default=["kafka_ui", "kafka_exporter"])),
    group_prefix=env.str("KAFKA_GROUP_PREFIX", default="bookrush."),
    topic_prefix=env.str("KAFKA_TOPIC_PREFIX", default=""),
    group_protocol=env.str("KAFKA_GROUP_PROTOCOL", default="consumer"),
    replication_factor=env.int("KAFKA_REPLICATION_FACTOR", default=1),
    min_insync_replicas=env.int("KAFKA_MIN_INSYNC_REPLICAS", default=1),
    partitions=env.int("KAFKA_PARTITIONS", default=3),
    attempts=env.int("CONSUMER_ATTEMPTS", default=3),
    retry_delays_seconds=tuple(env.list("CONSUMER_RETRY_DELAYS", cast=float, default=[5.0, 30.0, 120.0])),
    dead_letters_in_row=env.int("CONSUMER_DEAD_LETTERS_IN_ROW", default=50),
    consumer_silent_seconds=env.float("CONSUMER_SILENT_SECONDS", default=60.0),
    leader_silent_seconds=env.float("LEADER_SILENT_SECONDS", default=30.0),
    database_answer_seconds=env.float("DATABASE_ANSWER_SECONDS", default=20.0),
    inbox_days=env.float("KEEP_INBOX_DAYS", default=40.0),
    outbox_days=env.float("KEEP_OUTBOX_DAYS", default=40.0),
    sample_days=env.float("KEEP_LAG_SAMPLES_DAYS", default=14.0),
    dead_letter_days=env.float("KEEP_DEAD_LETTERS_DAYS", default=90.0),
    # How often the timekeeper notes how far the consumers are behind (0: never).
    lag_sample_seconds=env.float("LAG_SAMPLE_SECONDS", default=15.0),
    unavailable_errors=(redis.ConnectionError, redis.TimeoutError),
    schema_folder=str(BASE_DIR / "docs" / "events"),
    ready_file=READY_FILE,
    alive_file=ALIVE_FILE,
    role_variable="BOOKRUSH_ROLE",
    version=env.str("BOOKRUSH_VERSION", default=""),
    heartbeat_stores=("shop.operations.processes.redis_store.RedisHeartbeats",),
    broker_metrics_urls=tuple(env.list("KAFKA_METRICS_URLS", default=[])),
    metrics_prefix="bookrush",
    metrics_host=env.str("METRICS_HOST", default="127.0.0.1"),
    metrics_port=env.int("METRICS_PORT", default=0),
    metrics_port_variable="METRICS_PORT",
    # Where to, OpenTelemetry reads itself from its variables; here only whether.
    traces=bool(
        env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default="") or env.str("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", default="")
    ),
    traces_ratio=env.float("OTEL_TRACES_SAMPLER_ARG", default=1.0),
    variables={
        "bootstrap_servers": "KAFKA_BOOTSTRAP_SERVERS",
        "security_protocol": "KAFKA_SECURITY_PROTOCOL",
        "sasl_mechanism": "KAFKA_SASL_MECHANISM",
        "sasl_username": "KAFKA_SASL_USERNAME (or ACCOUNT)",
        "sasl_password": "KAFKA_SASL_PASSWORD (or ACCOUNT_PASSWORD)",
        "ssl_ca_location": "KAFKA_SSL_CA_LOCATION",
        "broker_metrics_urls": "KAFKA_METRICS_URLS",
        "replication_factor": "KAFKA_REPLICATION_FACTOR",
        "partitions": "KAFKA_PARTITIONS",
        "dead_letters_in_row": "CONSUMER_DEAD_LETTERS_IN_ROW",
        "inbox_days": "KEEP_INBOX_DAYS",
        "outbox_days": "KEEP_OUTBOX_DAYS",
        "sample_days": "KEEP_LAG_SAMPLES_DAYS",
        "dead_letter_days": "KEEP_DEAD_LETTERS_DAYS",
    },
)
