"""PostgreSQL and Redis: where they are, how long they may take, what is kept in which."""

from shop.settings.environment import ACCOUNT_NAME, ACCOUNT_PASSWORD, ROLE, env
from shop.site import redis_urls

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
