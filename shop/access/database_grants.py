"""Brings PostgreSQL's roles, grants and row security to what `database_roles.py` says. Run it as the tables' owner."""

from collections.abc import Iterable, Iterator, Mapping

from django.conf import settings
from django.db import connection, models, transaction
from psycopg import sql

from kafka_bridge.models import OutboxRow
from kafka_bridge.wire import event_types
from shop.access import database_roles
from shop.access.database_roles import DatabaseRole

# Row security and policies lock a table for a moment; behind a long transaction everybody would queue up.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '10s'"
_PREPARE = (
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
)
_ATTRIBUTES = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
_POLICY = "bookrush"


def role_name(role: str) -> str:
    """What PostgreSQL calls a role."""
    return f"{settings.ACCOUNT_PREFIX}{role}"


def apply(passwords: Mapping[str, str]) -> None:
    """Make each role that has a password, and give every role there is exactly its rights. All of it or nothing.

    Raises:
        django.db.Error: this user may not, or a table was locked for more than ten seconds.
    """
    with transaction.atomic(durable=True):
        _execute(sql.SQL(_LOCK_TIMEOUT))
        for statement in _PREPARE:
            _execute(sql.SQL(statement).format(database=_database()))
        for role in database_roles.all_roles():
            if password := passwords.get(role.name):
                make_account(role_name(role.name), password)
            if _exists(role_name(role.name)):
                _grant(role)
        _secure_rows()


def make_account(name: str, password: str) -> None:
    """Make a role that signs in with this password and is nothing special; one that is there is brought to that.

    An owner who is no superuser may not even repeat that a role is none, so only what is untrue is changed.

    Raises:
        django.db.Error: this user may not.
    """
    if not _exists(name):
        statement = f"CREATE ROLE {{name}} WITH {_ATTRIBUTES} PASSWORD {{password}}"
    elif _is_special(name):
        statement = f"ALTER ROLE {{name}} WITH {_ATTRIBUTES} PASSWORD {{password}}"
    else:
        statement = "ALTER ROLE {name} WITH LOGIN PASSWORD {password}"
    _execute(sql.SQL(statement).format(name=sql.Identifier(name), password=sql.Literal(password)))


def _is_special(name: str) -> bool:
    special = "rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {special} FROM pg_roles WHERE rolname = %s", [name])  # noqa: S608 - our own text
        (answer,) = cursor.fetchone()
    return bool(answer)


def _exists(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
        return cursor.fetchone() is not None


def _grant(role: DatabaseRole) -> None:
    name = sql.Identifier(role_name(role.name))
    _execute(sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(name))
    _execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(_database(), name))
    _execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
    for other in role.member_of:
        _execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(other), name))
    for model, rights in role.rights().items():
        table = sql.Identifier(model._meta.db_table)
        _execute(sql.SQL(f"GRANT {rights} ON {{}} TO {{}}").format(table, name))


# -- Rows -----------------------------------------------------------------------------------------------
def _secure_rows() -> None:
    by_table: dict[str, dict[str, sql.Composable]] = {}
    for role in filter(lambda role: _exists(role_name(role.name)), database_roles.all_roles()):
        for model in role.rights():
            if model is OutboxRow or _group_field(model):
                by_table.setdefault(model._meta.db_table, {})[role.name] = _rule(role, model)
    for table, rules in by_table.items():
        _secure(table, rules)


def _group_field(model: type[models.Model]) -> bool:
    return model._meta.app_label == "kafka_bridge" and any(field.name == "group" for field in model._meta.fields)


def _rule(role: DatabaseRole, model: type[models.Model]) -> sql.Composable:
    """Which rows a role sees, and which ones it may add or change."""
    if not role.group:
        return sql.SQL("USING (true)")
    if model is OutboxRow:
        return sql.SQL("USING (true) WITH CHECK ({})").format(_states(role))
    return sql.SQL('USING ("group" = {})').format(sql.Literal(role.group))


def _states(role: DatabaseRole) -> sql.Composable:
    topics = list(_topics_of(role.states))
    return sql.SQL("topic IN ({})").format(_literals(topics)) if topics else sql.SQL("false")


def _topics_of(owners: set[str]) -> Iterator[str]:
    return (topic.name for topic in event_types.topics() if topic.owner in owners and not topic.written_by)


def _literals(values: Iterable[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Literal, values))


def _secure(table: str, rules: Mapping[str, sql.Composable]) -> None:
    """A policy a role; what is there and the same stays, so that a second run locks nothing."""
    for role, rule in rules.items():
        policy, text = f"{_POLICY}_{role}", rule.as_string()
        if _comment_of(table, policy) == text:
            continue
        names = {"policy": sql.Identifier(policy), "table": sql.Identifier(table)}
        _execute(sql.SQL("DROP POLICY IF EXISTS {policy} ON {table}").format(**names))
        create = "CREATE POLICY {policy} ON {table} FOR ALL TO {role} {rule}"
        _execute(sql.SQL(create).format(**names, role=sql.Identifier(role_name(role)), rule=rule))
        comment = sql.SQL("COMMENT ON POLICY {policy} ON {table} IS {text}")
        _execute(comment.format(**names, text=sql.Literal(text)))
    if not _has_row_security(table):
        _execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(sql.Identifier(table)))


def _comment_of(table: str, policy: str) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT obj_description(oid, 'pg_policy') FROM pg_policy WHERE polrelid = %s::regclass AND polname = %s",
            [table, policy],
        )
        row = cursor.fetchone()
    return row[0] if row else None


def _has_row_security(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relrowsecurity FROM pg_class WHERE oid = %s::regclass", [table])
        return bool(cursor.fetchone()[0])


def _database() -> sql.Identifier:
    return sql.Identifier(str(connection.settings_dict["NAME"]))


def _execute(statement: sql.Composable) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
