"""Who evaluates the alerts: said in PostgreSQL and in Redis after each evaluation, so that others see when it ends.

The timekeeper that leads evaluates. Where nobody has for `TAKEOVER_SECONDS`, one process of the role live does, until
the timekeeper is back. If neither PostgreSQL nor Redis says who does, each live process evaluates: two tell more than
none.
"""

import os
import socket
from datetime import datetime

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django_redis import get_redis_connection
from django_redis.exceptions import ConnectionInterrupted

from shop.models import AlertEvaluation

TAKEOVER_SECONDS = 20
"""With the time that a missing process takes to be missed and told, also the timekeeper's own end is told in 30 s."""
SILENT_SECONDS = 60
"""Nobody has evaluated for so long: what is known is old."""
_KEY = "alerts:evaluator"
_NO_DATABASE = (DatabaseError, InterfaceError)
_NO_REDIS = (redis.RedisError, ConnectionInterrupted, OSError)
_TAKE = """
INSERT INTO shop_alertevaluation (id, by, at) VALUES (1, %(me)s, now())
ON CONFLICT (id) DO UPDATE SET by = EXCLUDED.by, at = EXCLUDED.at
"""
_TAKE_IF_FREE = f"""{_TAKE}
WHERE shop_alertevaluation.by = EXCLUDED.by OR shop_alertevaluation.at < now() - make_interval(secs => %(seconds)s)
"""


def me() -> str:
    """This process, by a name that no other one has."""
    return f"{settings.ROLE} {socket.gethostname()} {os.getpid()}"


def last() -> tuple[str, datetime] | None:
    """Who evaluated last and when, as PostgreSQL knows it.

    Raises:
        DatabaseError: it cannot be used.
    """
    found = AlertEvaluation.objects.first()
    return None if found is None else (found.by, found.at)


def take() -> None:
    """This process has evaluated; whoever did before stops."""
    _take_in_database(_TAKE)
    try:
        get_redis_connection("default").set(_KEY, me(), ex=TAKEOVER_SECONDS)
    except _NO_REDIS:
        return


def try_take(*, ask_database: bool) -> bool:
    """Whether nobody else evaluates; then this process says that it does.

    A database that is known to be away need not be asked: it would only keep us waiting.
    """
    in_database = _take_in_database(_TAKE_IF_FREE) if ask_database else None
    in_redis = _try_take_in_redis()
    return in_database is not False and in_redis is not False


def _take_in_database(statement: str) -> bool | None:
    """None where it cannot be told."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, {"me": me(), "seconds": TAKEOVER_SECONDS})
            return bool(cursor.rowcount > 0)
    except _NO_DATABASE:
        connection.close()
        return None


def _try_take_in_redis() -> bool | None:
    """None where it cannot be told."""
    try:
        client = get_redis_connection("default")
        if client.set(_KEY, me(), nx=True, ex=TAKEOVER_SECONDS):
            return True
        if (client.get(_KEY) or b"").decode(errors="replace") != me():
            return False
        client.set(_KEY, me(), ex=TAKEOVER_SECONDS)
    except _NO_REDIS:
        return None
    return True
