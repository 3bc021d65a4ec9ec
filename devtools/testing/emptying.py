"""Emptying the database after a test that committed: what Django does, in a fraction of the time.

# Note [Emptying without TRUNCATE]
Django truncates every table, however empty, which makes new files for it and for each of its indexes, and makes the
permissions and content types again. Here one query finds the tables that have rows, and those are deleted, under
`session_replication_role = replica` so that neither foreign keys nor the triggers of append-only tables mind. The lock
waits for writers who are still at it, as a TRUNCATE would. Permissions and content types stay as the migrations left
them; after a test that changed those, it is done Django's way.
"""

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.test import TransactionTestCase

LASTING = ("django_content_type", "auth_permission")
# So many dead rows would be in the way of the tests to come: a table that has grown larger is truncated.
MOST_BYTES = 1_000_000


class Emptying:
    """How one test database is emptied, from when it was made."""

    def __init__(self) -> None:
        tables = sorted(set(connection.introspection.django_table_names(only_existing=True, include_views=False)))
        self._find = " UNION ALL ".join(
            f"SELECT '{name}', pg_relation_size('{name}') WHERE EXISTS (SELECT FROM {name})"  # noqa: S608 - ours
            for name in tables
            if name not in LASTING
        )
        self._lock = f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE"
        self._as_django_does = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]
        with connection.cursor() as cursor:
            self._lasting = _lasting(cursor)

    def install(self) -> None:
        """From now on, this is what happens after tests marked with `django_db(transaction=True)`."""
        TransactionTestCase._fixture_teardown = lambda case: self.empty(case)  # type: ignore[attr-defined]

    def empty(self, case: TransactionTestCase) -> None:
        """Leave what the migrations left, apart from rows of theirs in tables that are not `LASTING`."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(self._lock)
            if is_as_ever := _lasting(cursor) == self._lasting:
                self._delete_rows(cursor)
        if not is_as_ever:
            self._as_django_does(case)
            with connection.cursor() as cursor:
                self._lasting = _lasting(cursor)

    def _delete_rows(self, cursor: CursorWrapper) -> None:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(self._find)
        full = cursor.fetchall()
        if large := [name for name, size in full if size > MOST_BYTES]:
            cursor.execute(f"TRUNCATE {', '.join(large)} CASCADE")
        for name, size in full:
            if size <= MOST_BYTES:
                cursor.execute(f"DELETE FROM {name}")  # noqa: S608 - one of our tables


def _lasting(cursor: CursorWrapper) -> list[object]:
    """A digest of each table that stays."""
    digests = [f"SELECT md5(string_agg(t::text, ',' ORDER BY t.id)) FROM {name} t" for name in LASTING]  # noqa: S608
    cursor.execute(" UNION ALL ".join(digests))
    found: list[object] = cursor.fetchall()
    return found
