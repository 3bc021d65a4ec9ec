"""Settings of the whole project; the only place that reads the environment.

Order of precedence: the process environment, then `.env` beside manage.py, then what a running
`manage.py demo` wrote into its state folder (so that any command typed in a second terminal talks
to the demo), then the defaults below.
"""

from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import environ
import redis
from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

from kafka_bridge import BridgeSettings
from shop.operations.alerts import limits
from shop.operations.alerts.telling import addresses
from shop.site import redis_urls

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env.read_env(BASE_DIR / ".env")
STATE_DIR = env.path("BOOKRUSH_STATE_DIR", default=str(BASE_DIR / ".bookrush"))()
env.read_env(Path(STATE_DIR) / "demo.env")

# -- This process -------------------------------------------------------------------------------
ROLE = env.str("BOOKRUSH_ROLE", default="bookrush")
# A file that a background role touches once it is ready, for the process that started it.
READY_FILE = env.str("BOOKRUSH_READY_FILE", default="")
# Another one, whose modification time says when the role's loop came round last.
ALIVE_FILE = env.str("BOOKRUSH_ALIVE_FILE", default="")
# Who this process is to PostgreSQL, Redis and Kafka, such as `payments`, and its password; without one, their addresses
# say who.
ACCOUNT_PREFIX = env.str("ACCOUNT_PREFIX", default="bookrush_")
ACCOUNT = env.str("ACCOUNT", default="")
ACCOUNT_NAME = ACCOUNT and f"{ACCOUNT_PREFIX}{ACCOUNT}"
ACCOUNT_PASSWORD = env.str("ACCOUNT_PASSWORD", default="")
# By role, its password: only for the process that makes the accounts.
ROLE_PASSWORDS = env.dict("ROLE_PASSWORDS", default={})
# Where this is set, a test that cannot run here fails instead of being skipped.
CI = env.bool("CI", default=False)

# -- Django -------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
# The default key is for a shop on loopback; `manage.py check --deploy` refuses it anywhere else.
SECRET_KEY = env.str("SECRET_KEY", default="django-insecure-bookrush-on-loopback-only")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
# Who sends it as `Authorization: Bearer …` reads in /readyz what is wrong, as staff do; others read only whether it is.
READYZ_TOKEN = env.str("READYZ_TOKEN", default="")
# Who sends this one reads /metrics of the roles web and live; without one, nobody does.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# Which processes should run, such as `web,live,relay:2,timekeeper,orders:3`; empty: one of each role.
EXPECTED_PROCESSES = env.str("EXPECTED_PROCESSES", default="")
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
ASGI_APPLICATION = "shop.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Daphne serves the sockets (`daphne shop.asgi:application`); as an app it would only change `runserver`, and bring
# Twisted into every consumer.
EXTRA_APPS = env.list("EXTRA_APPS", default=[])
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "shop.site.admin_app.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "csp",
    "django_htmx",
    "kafka_bridge",
    "orders",
    "inventory",
    "payments",
    "shop",
    # Services that were added: see docs/add-a-service.md.
    *EXTRA_APPS,
    # Not in a container image: what demos, drills and tests need.
    *(["devtools"] if find_spec("devtools") else []),
]

MIDDLEWARE = [
    "shop.operations.processes.request_metrics.RequestMetricsMiddleware",
    "shop.operations.health.ProbeMiddleware",
    "shop.operations.request_traces.RequestTraceMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "shop.site.middleware.PagePolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "shop.site.one_time_forms.OneTimeFormsMiddleware",
    "shop.operations.pages.signing_out.SigningOutMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "shop.site.middleware.LimitsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "shop.site.context_processors.storefront",
            ],
            "builtins": ["shop.templatetags.one_time_tokens", "shop.templatetags.personal_parts"],
        },
    },
]

# -- PostgreSQL: the truth ----------------------------------------------------------------------
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres://bookrush:bookrush@127.0.0.1:5432/bookrush")}
if ACCOUNT_NAME:
    DATABASES["default"] |= {"USER": ACCOUNT_NAME, "PASSWORD": ACCOUNT_PASSWORD}
DATABASES["default"]["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE_SECONDS", default=600)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# What DATABASE_URL says (`?connect_timeout=2`) counts; docs/operations.md has all bounds in one table.
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 5,
    # A network that drops everything is noticed after ten seconds, also while an answer is awaited.
    "keepalives": 1,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    # No new connection leads to a server that takes no writes; with several hosts, to the one that does.
    "target_session_attrs": "read-write",
    "application_name": ROLE,
    **DATABASES["default"].get("OPTIONS", {}),
}

# -- Redis: speed, never the truth --------------------------------------------------------------
# One database number each, so that flushing or evicting one never touches another.
REDIS_URL = redis_urls.signed_in(
    env.str("REDIS_URL", default="redis://127.0.0.1:6379"), ACCOUNT_NAME, ACCOUNT_PASSWORD
)  # fmt: skip
# The stock counters may have a server of their own.
REDIS_STOCK_URL = redis_urls.signed_in(
    env.str("REDIS_STOCK_URL", default="") or redis_urls.with_database(REDIS_URL, 2), ACCOUNT_NAME, ACCOUNT_PASSWORD
)
REDIS_CHANNELS_URL = redis_urls.with_database(REDIS_URL, 3)
REDIS_OPTIONS = {
    "CLIENT_CLASS": "django_redis.client.DefaultClient",
    # JSON, never pickle: write access to Redis must not mean running code here.
    "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
    "SOCKET_CONNECT_TIMEOUT": 0.5,
    "SOCKET_TIMEOUT": 0.5,
}
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": redis_urls.with_database(REDIS_URL, 1),
        # A page is served without its cache rather than not at all.
        "OPTIONS": {**REDIS_OPTIONS, "IGNORE_EXCEPTIONS": True},
    },
    # Only a way to the connection: the counters are no cache, and nothing of them ever expires.
    "stock": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_STOCK_URL,
        "OPTIONS": REDIS_OPTIONS,
    },
    "live": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_CHANNELS_URL,
        "OPTIONS": REDIS_OPTIONS,
    },
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "hosts": [
                {
                    "address": REDIS_CHANNELS_URL,
                    "socket_connect_timeout": 2,
                    "socket_timeout": 5,
                    "health_check_interval": 10,
                    **redis_urls.keepalive(REDIS_CHANNELS_URL),
                }
            ],
            "prefix": "bookrush",
        },
    },
}

# -- Sessions and accounts ----------------------------------------------------------------------
# In the cache as well, so that a checkout that is sent while PostgreSQL is away still knows its visitor and its form.
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
SESSION_COOKIE_SAMESITE = "Lax"
AUTHENTICATION_BACKENDS = [
    "shop.accounts.backends.AccountBackend",
    # Sessions of before name it; a sign-in never gets as far.
    "django.contrib.auth.backends.ModelBackend",
]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "my_orders"
LOGOUT_REDIRECT_URL = "catalogue"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# -- Words, time, files -------------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_TZ = True
STATIC_URL = "static/"
# Served straight from the apps' folders unless collectstatic was run (the container image runs it).
WHITENOISE_USE_FINDERS = env.bool("SERVE_STATIC_FROM_SOURCE", default=True)
STATIC_ROOT = None if WHITENOISE_USE_FINDERS else env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if WHITENOISE_USE_FINDERS
        else "shop.site.static_files.HashedStaticFiles"
    },
}

# -- Mail ---------------------------------------------------------------------------------------
EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
# For each step of the dialogue with the mail server; `orders/mailing/mail_sending.py` says what depends on it.
EMAIL_TIMEOUT = env.float("EMAIL_TIMEOUT_SECONDS", default=10.0)
EMAIL_FILE_PATH = env.str("EMAIL_FILE_PATH", default=str(Path(STATE_DIR) / "mail"))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Bookrush <orders@bookrush.example>")

# -- Transport security: on by one switch, behind a proxy that ends TLS ---------------------------
BEHIND_TLS = env.bool("BEHIND_TLS", default=False)
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    # Health checks reach the process directly, without TLS; so do the sandbox's webhooks.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^webhooks/payments/$"]
# Networks of the proxies in front of the web role, whose X-Forwarded-For is believed; without any, the peer counts.
PROXY_NETWORKS = env.list("PROXY_NETWORKS", default=[])
# Networks from which load tests come: the limit of orders by network does not count them. See shop/limits/limits.py.
LOAD_TEST_NETWORKS = env.list("LOAD_TEST_NETWORKS", default=["127.0.0.0/8", "::1/128"])
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "shop.site.errors.csrf_failure"

# -- Live sockets -------------------------------------------------------------------------------
# Where browsers find the sockets: a port beside the shop's (demo), or 0 for the shop's own origin (a proxy).
LIVE_PORT = env.int("LIVE_PORT", default=0)
# Origins whose pages may open a socket, scheme and port included.
LIVE_ORIGINS = env.list("LIVE_ORIGINS", default=[])
LIVE_WATCH_SECONDS = 90
# One process serves so many sockets, and one address gets so many of them (a school's, an office's).
LIVE_SOCKETS_MAX = env.int("LIVE_SOCKETS_MAX", default=5000)
LIVE_SOCKETS_PER_ADDRESS_MAX = env.int("LIVE_SOCKETS_PER_ADDRESS_MAX", default=200)
# So many messages a page may send at once, and so many a second in the long run; it sends a few a minute.
LIVE_MESSAGES_MAX = env.int("LIVE_MESSAGES_MAX", default=30)
LIVE_MESSAGES_PER_SECOND = env.float("LIVE_MESSAGES_PER_SECOND", default=1.0)

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF, *([f"ws://*:{LIVE_PORT}", f"wss://*:{LIVE_PORT}"] if LIVE_PORT else [])],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
# The admin's theme needs more: Alpine.js evaluates attributes of its templates, which have styles in attributes too.
# Still no script runs that is in the page or from elsewhere.
ADMIN_CONTENT_SECURITY_POLICY = {
    **CONTENT_SECURITY_POLICY["DIRECTIVES"],
    "script-src": [SELF, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
}

# -- Kafka --------------------------------------------------------------------------------------
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

# -- The shop -----------------------------------------------------------------------------------
CURRENCY = "USD"
# Whether pages tell visitors what to try (demo accounts, test cards); by itself only while a demo runs here.
SHOW_DEMO_HINTS = env.bool("SHOW_DEMO_HINTS", default=(Path(STATE_DIR) / "demo.env").exists())
# reserve_first: hold stock, then charge. payment_first: charge, then hold; refund if nothing is left.
ORDER_FLOW = env.str("ORDER_FLOW", default="reserve_first")
ORDER_DEADLINE_SECONDS = env.int("ORDER_DEADLINE_SECONDS", default=900)
# How long stock is held for an order that is not paid (reserve_first; with payment_first it is paid before it is held).
# A sale may set a time of its own.
HOLD_SECONDS = env.int("HOLD_SECONDS", default=600)
# The longest time for a hold where less than half of the unsold units is free; long enough for a bank's confirmation.
SCARCE_HOLD_SECONDS = env.int("SCARCE_HOLD_SECONDS", default=240)
# How often the timekeeper audits the shop (0: never), and how long an event may be under way before the audit minds.
AUDIT_SECONDS = env.float("AUDIT_SECONDS", default=60.0)
AUDIT_GRACE_SECONDS = env.float("AUDIT_GRACE_SECONDS", default=60.0)
# For so many days the shop keeps the gateway's webhooks, each movement of stock by itself, and who did what.
KEEP_WEBHOOKS_DAYS = env.float("KEEP_WEBHOOKS_DAYS", default=90.0)
KEEP_MOVEMENTS_DAYS = env.float("KEEP_MOVEMENTS_DAYS", default=400.0)
KEEP_AUDIT_LOG_DAYS = env.float("KEEP_AUDIT_LOG_DAYS", default=1100.0)
KEEP_OVERVIEW_DAYS = env.float("KEEP_OVERVIEW_DAYS", default=30.0)
KEEP_FORMS_DAYS = env.float("KEEP_FORMS_DAYS", default=7.0)
# After they have expired.
KEEP_SESSIONS_DAYS = env.float("KEEP_SESSIONS_DAYS", default=1.0)
CARRIER_SHIP_DELAY_SECONDS = env.float("CARRIER_SHIP_DELAY_SECONDS", default=5.0)
CARRIER_DELIVER_DELAY_SECONDS = env.float("CARRIER_DELIVER_DELAY_SECONDS", default=10.0)
PAYMENT_GATEWAY = env.str("PAYMENT_GATEWAY", default="payments.gateways.sandbox.SandboxGateway")
PAYMENT_CONCURRENT_CALLS = env.int("PAYMENT_CONCURRENT_CALLS", default=32)
PAYMENT_TIMEOUT_SECONDS = env.float("PAYMENT_TIMEOUT_SECONDS", default=10.0)
# So many calls in a row without an answer, and the gateway is left alone for a while before one call tries it.
PAYMENT_BREAKER_FAILURES = env.int("PAYMENT_BREAKER_FAILURES", default=20)
PAYMENT_BREAKER_SECONDS = env.float("PAYMENT_BREAKER_SECONDS", default=5.0)
# How long a buyer has to confirm a payment (3-D Secure); shorter than HOLD_SECONDS, so that the books are still there.
PAYMENT_ACTION_SECONDS = env.int("PAYMENT_ACTION_SECONDS", default=480)
# An outcome that is unknown for longer needs a person.
PAYMENT_UNKNOWN_SECONDS = env.int("PAYMENT_UNKNOWN_SECONDS", default=900)
# What webhooks are signed with; two while one takes the place of the other. The first is the sandbox's own.
PAYMENT_WEBHOOK_SECRETS = env.list("PAYMENT_WEBHOOK_SECRETS", default=[])
# Where gateways send buyers back to, and the sandbox its webhooks: the shop as a browser sees it.
SHOP_URL = env.str("SHOP_URL", default="http://127.0.0.1:8000").rstrip("/")
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
STRIPE_PUBLISHABLE_KEY = env.str("STRIPE_PUBLISHABLE_KEY", default="")
# Another server than Stripe's own, for tests against a double.
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="")
# The sandbox gateway: where the shop reaches it, and where a browser does.
SANDBOX_URL = env.str("SANDBOX_URL", default="http://127.0.0.1:8002").rstrip("/")
SANDBOX_PUBLIC_URL = env.str("SANDBOX_PUBLIC_URL", default=SANDBOX_URL).rstrip("/")
# Where buyers may be sent to confirm a payment: scheme, host and port of the gateway's own pages.
PAYMENT_CONFIRM_ORIGINS = env.list(
    "PAYMENT_CONFIRM_ORIGINS",
    default=["https://hooks.stripe.com", "https://pm-redirects.stripe.com"]
    if PAYMENT_GATEWAY == "payments.gateways.stripe.StripeGateway"
    else ["{0.scheme}://{0.netloc}".format(urlsplit(SANDBOX_PUBLIC_URL))],
)
SANDBOX_WEBHOOK_URL = env.str("SANDBOX_WEBHOOK_URL", default=f"{SHOP_URL}/webhooks/payments/")
SANDBOX_LEDGER_PATH = env.str("SANDBOX_LEDGER_PATH", default=str(Path(STATE_DIR) / "sandbox-gateway.sqlite3"))
SANDBOX_LATENCY_SECONDS = env.float("SANDBOX_LATENCY_SECONDS", default=0.05)
SANDBOX_SLOW_SECONDS = env.float("SANDBOX_SLOW_SECONDS", default=5.0)
# How long the cards that time out keep a caller waiting: longer than any call waits.
SANDBOX_STALL_SECONDS = env.float("SANDBOX_STALL_SECONDS", default=15.0)
# Inventory may not import payments; it asks this function whether an order's money is in.
INVENTORY_PAYMENT_CHECK = "payments.queries.paid_orders"
# Orders may not either; it asks this one which charges were captured, before it believes an event.
ORDERS_PAYMENT_CHECK = "payments.queries.captured"
# And before it gives up a hold, this one to see to it that the order is never charged.
INVENTORY_PAYMENT_STOP = "payments.charges.prevent_charge"

# -- Alerts -------------------------------------------------------------------------------------
# Who is told, and how; each one that is named is used, by itself. docs/operations.md says what is sent.
ALERT_MAIL_TO = addresses.mail_addresses(env.list("ALERT_MAIL_TO", default=[]))
ALERT_WEBHOOK_URL = addresses.checked("ALERT_WEBHOOK_URL", env.str("ALERT_WEBHOOK_URL", default=""))
ALERT_WEBHOOK_SECRET = addresses.secret_for(ALERT_WEBHOOK_URL, env.str("ALERT_WEBHOOK_SECRET", default=""))
ALERT_CHAT_URL = addresses.checked("ALERT_CHAT_URL", env.str("ALERT_CHAT_URL", default=""))
# Called every minute while alerts are evaluated; who is called there notices when that ends.
ALERT_HEARTBEAT_URL = addresses.checked("ALERT_HEARTBEAT_URL", env.str("ALERT_HEARTBEAT_URL", default=""))
# An alert that holds is told again after so long.
ALERT_REPEAT_SECONDS = limits.repeat_seconds(env.float("ALERT_REPEAT_SECONDS", default=4 * 3600.0))
# Other limits than those of shop/operations/alerts/limits.py, such as lag=5000,mail_seconds=600.
ALERT_LIMITS = limits.parse(env.str("ALERT_LIMITS", default=""))
KEEP_ALERTS_DAYS = env.float("KEEP_ALERTS_DAYS", default=400.0)

# -- The admin ----------------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": "Bookrush",
    "SITE_HEADER": "Bookrush",
    "SITE_SUBHEADER": "Shop administration",
    "SITE_URL": "/",
    "SITE_ICON": "shop.admin.site.navigation.icon",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "shop.admin.site.navigation.icon"}],
    "STYLES": [  # one file a component; the theme calls each with the request
        lambda _, name=name: static(f"shop/css/admin/{name}.css")
        for name in (
            "tokens", "words", "card", "table", "facts", "banner", "buttons", "forms", "drill", "order", "trail",
            "chips", "stock", "start", "lists", "changes", "dead_letters",
        )
    ],
    "DASHBOARD_CALLBACK": "shop.admin.site.dashboard.context",
    "SIDEBAR": {"navigation": "shop.admin.site.navigation.navigation"},
    "BORDER_RADIUS": "6px",
    "COLORS": {  # the storefront's paper and its red
        "base": {
            "50": "#faf8f4", "100": "#f3efe8", "200": "#e5ded2", "300": "#d0c7b8", "400": "#a89d8d", "500": "#776c5e",
            "600": "#5d5348", "700": "#473f37", "800": "#2f2924", "900": "#1d1916", "950": "#12100e",
        },
        "primary": {
            "50": "#fdf4f1", "100": "#fae5de", "200": "#f5cabd", "300": "#eda592", "400": "#e27f67", "500": "#c65541",
            "600": "#9c2f23", "700": "#85271d", "800": "#6b211a", "900": "#561e19", "950": "#300d09",
        },
    },
}  # fmt: skip

# -- Logs ---------------------------------------------------------------------------------------
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
# plain, or json for programs that collect logs.
LOG_FORMAT = env.str("LOG_FORMAT", default="plain")
if LOG_FORMAT not in ("plain", "json"):
    raise ImproperlyConfigured(f"LOG_FORMAT is plain or json, not {LOG_FORMAT!r}")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"},
        "json": {"()": "shop.site.logs.JsonLines"},
    },
    "filters": {"strangers": {"()": "shop.site.logs.StrangersInOneLine"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["strangers"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # One line per request is the proxy's job; here only what went wrong.
        "django.request": {"level": "ERROR"},
        "django.server": {"level": "WARNING"},
        # It would log two lines for each call, and with DEBUG whole answers, in which buyers have names.
        "stripe": {"level": "WARNING"},
    },
}
