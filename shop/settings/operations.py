"""What operators see and are told: probes, metrics, alerts, logs."""

from django.core.exceptions import ImproperlyConfigured

from shop.operations.alerts import limits
from shop.operations.alerts.telling import addresses
from shop.settings.environment import env

# Who sends it as `Authorization: Bearer …` reads in /readyz what is wrong, as staff do; others read only whether it is.
READYZ_TOKEN = env.str("READYZ_TOKEN", default="")
# Who sends this one reads /metrics of the roles web and live; without one, nobody does.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# Which processes should run, such as `web,live,relay:2,timekeeper,orders:3`; empty: one of each role.
EXPECTED_PROCESSES = env.str("EXPECTED_PROCESSES", default="")

# -- The audit ----------------------------------------------------------------------------------
# How often the timekeeper audits the shop (0: never), and how long an event may be under way before the audit minds.
AUDIT_SECONDS = env.float("AUDIT_SECONDS", default=60.0)
AUDIT_GRACE_SECONDS = env.float("AUDIT_GRACE_SECONDS", default=60.0)
# For so many days the shop keeps who did what, and what the page of operations showed.
KEEP_AUDIT_LOG_DAYS = env.float("KEEP_AUDIT_LOG_DAYS", default=1100.0)
KEEP_OVERVIEW_DAYS = env.float("KEEP_OVERVIEW_DAYS", default=30.0)

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
