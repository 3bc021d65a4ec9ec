"""The pass to the operations page: a signed cookie, because sessions need what may be away.

# Note [Seen without the database]
Who opens /admin/operations/ and may, gets a cookie that says who it is and until when. The pages at /ops/ and /kafka/
believe its signature alone, so they open while PostgreSQL and Redis are away. While PostgreSQL answers, the role live
asks it now and then, beside the requests, whether the account is still what it was: active, staff, permitted, with the
same password. What was found last counts; where nothing could be asked, the signature does.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, User
from django.core import signing
from django.db import Error, close_old_connections
from django.http import HttpResponseBase
from django.utils.crypto import salted_hmac

COOKIE = "bookrush_operations"
WINDOW_COOKIE = "bookrush_kafka"
"""The same pass for the window on Kafka: a browser sends a cookie to one path only."""
PATHS = {COOKIE: "/ops/", WINDOW_COOKIE: "/kafka/"}
PERMISSION = "shop.view_operations"
SECONDS = 12 * 3600
CHECK_SECONDS = 30.0
_SALT = "shop.operations.pages.passes"
_LENGTH_MAX = 1000
_REMEMBERED_MAX = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """Who may look, as the cookie says."""

    user_id: int
    name: str
    mark: str
    """Stands for the password that the account had."""


def grant(response: HttpResponseBase, user: AbstractBaseUser) -> None:
    """Give the pass to this user, who has been checked, with the response."""
    content = signing.dumps([user.pk, user.get_username(), _mark(user)], salt=_SALT)
    for cookie, path in PATHS.items():
        response.set_cookie(
            cookie,
            content,
            max_age=SECONDS,
            path=path,
            secure=settings.BEHIND_TLS,
            httponly=True,
            samesite="Strict",
        )


def withdraw(response: HttpResponseBase) -> None:
    """Take the pass back."""
    for cookie, path in PATHS.items():
        response.delete_cookie(cookie, path=path, samesite="Strict")


def read(value: str) -> Pass | None:
    """The pass in a cookie's value; None where it is not ours, or over."""
    if not value or len(value) > _LENGTH_MAX:
        return None
    try:
        user_id, name, mark = signing.loads(value, salt=_SALT, max_age=SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return Pass(user_id=user_id, name=name, mark=mark)


class Checks:
    """What PostgreSQL said of passes; see Note [Seen without the database]. Of one event loop, it never waits."""

    def __init__(self) -> None:
        self._found: dict[Pass, tuple[float, bool]] = {}
        self._asked: set[Pass] = set()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ops-passes")

    def is_good(self, held: Pass) -> bool:
        """Whether the pass counts, by what is known; asks again where that is old."""
        asked_at, is_good = self._found.get(held, (0.0, True))
        if time.monotonic() - asked_at > CHECK_SECONDS and held not in self._asked:
            self._asked.add(held)
            self._executor.submit(self._ask, held)
        return is_good

    def wait(self) -> None:
        """Until what was asked is answered; blocks."""
        self._executor.submit(int).result()

    def _ask(self, held: Pass) -> None:
        try:
            close_old_connections()
            is_good = _is_still_staff(held)
        except Error:
            is_good = self._found.get(held, (0.0, True))[1]
        finally:
            self._asked.discard(held)
        if len(self._found) >= _REMEMBERED_MAX:
            self._found.clear()
        self._found[held] = (time.monotonic(), is_good)


def _is_still_staff(held: Pass) -> bool:
    user = User.objects.filter(pk=held.user_id, is_active=True, is_staff=True).first()
    return user is not None and _mark(user) == held.mark and user.has_perm(PERMISSION)


def _mark(user: AbstractBaseUser) -> str:
    return salted_hmac(_SALT, user.get_session_auth_hash()).hexdigest()[:24]
