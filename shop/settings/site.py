"""What Django is made of here: apps, middleware, templates; accounts, words, files, mail, and the live sockets."""

from importlib.util import find_spec
from pathlib import Path

from shop.settings.environment import BASE_DIR, STATE_DIR, env

DEBUG = env.bool("DEBUG", default=False)
# The default key is for a shop on loopback; `manage.py check --deploy` refuses it anywhere else.
SECRET_KEY = env.str("SECRET_KEY", default="django-insecure-bookrush-on-loopback-only")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
# Where gateways send buyers back to, and the sandbox its webhooks: the shop as a browser sees it.
SHOP_URL = env.str("SHOP_URL", default="http://127.0.0.1:8000").rstrip("/")
# Whether pages tell visitors what to try (demo accounts, test cards); by itself only while a demo runs here.
SHOW_DEMO_HINTS = env.bool("SHOW_DEMO_HINTS", default=(Path(STATE_DIR) / "demo.env").exists())
# Whether the cards of /kafka/cards/ can be done: they make topics and groups of their own, as a demo's processes may.
KAFKA_PRACTICE = env.bool("KAFKA_PRACTICE", default=(Path(STATE_DIR) / "demo.env").exists())
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
ASGI_APPLICATION = "shop.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

EXTRA_APPS = env.list("EXTRA_APPS", default=[])
# Daphne serves the sockets (`daphne shop.asgi:application`); as an app it would only change `runserver`, and bring
# Twisted into every consumer.
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
    "django.contrib.sitemaps",
    "channels",
    "csp",
    "django_htmx",
    # Only this part of django-allauth: its pages and words are the shop's own.
    "allauth.account",
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
    "allauth.account.middleware.AccountMiddleware",
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

# -- Sessions and accounts ----------------------------------------------------------------------
# In the cache as well, so that a checkout that is sent while PostgreSQL is away still knows its visitor and its form.
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
SESSION_COOKIE_SAMESITE = "Lax"
KEEP_FORMS_DAYS = env.float("KEEP_FORMS_DAYS", default=7.0)
# After they have expired.
KEEP_SESSIONS_DAYS = env.float("KEEP_SESSIONS_DAYS", default=1.0)
AUTHENTICATION_BACKENDS = [
    "shop.accounts.backends.AccountBackend",
    # Sessions of before name it; a sign-in never gets as far.
    "django.contrib.auth.backends.ModelBackend",
]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "my_orders"
LOGOUT_REDIRECT_URL = "catalogue"
ACCOUNT_ADAPTER = "shop.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email", "username"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
# No page tells which addresses have an account; that takes an address that is confirmed before the first sign-in.
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
# So long the browser that signed up is known by the link of the mail.
ACCOUNT_LOGIN_TIMEOUT = 24 * 3600
# All limits are in shop/limits/limits.py.
ACCOUNT_RATE_LIMITS = False
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

# -- Live sockets --------------------------------------------------------------------------------
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
