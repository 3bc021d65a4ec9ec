"""Accounts in PostgreSQL are made and kept by an owner who may create roles, and need be no superuser."""

import os
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from shop.access import database_grants, database_roles

pytestmark = [pytest.mark.security, pytest.mark.operations]
OWNER, ACCOUNT = "plain_owner", "plain_account"


@pytest.fixture
def plain_owner(db: None) -> Iterator[None]:
    """This connection is, until the test is over, somebody who may create roles and nothing else."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {OWNER} CREATEROLE")
        cursor.execute(f"SET LOCAL ROLE {OWNER}")
        yield
        cursor.execute("RESET ROLE")


def is_special(name: str) -> bool:
    """Whether a role has any right beyond its tables."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = %s", [name])
        return bool(cursor.fetchone()[0])


def test_an_account_is_made_and_gets_a_new_password(plain_owner: None) -> None:
    database_grants.make_account(ACCOUNT, "first")
    database_grants.make_account(ACCOUNT, "second")
    assert not is_special(ACCOUNT)


def test_an_account_that_became_special_is_made_plain_again(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {ACCOUNT} CREATEDB")
    assert is_special(ACCOUNT)
    database_grants.make_account(ACCOUNT, "first")
    assert not is_special(ACCOUNT)


@pytest.fixture
def owned_database() -> Iterator[str]:
    """A new database's URL, for its owner, who may create roles and is no superuser."""
    parameters = connection.get_connection_params()
    server = {name: parameters[name] for name in ("host", "port", "user", "password") if parameters.get(name)}
    with psycopg.connect(**server, dbname="postgres", autocommit=True) as postgres:
        postgres.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD '{OWNER}'")
        postgres.execute(f"CREATE DATABASE {OWNER} OWNER {OWNER}")
        try:
            address = "&".join(
                f"{name}={quote(str(server[name]), safe='')}" for name in ("host", "port") if name in server
            )
            yield f"postgres://{OWNER}:{OWNER}@/{OWNER}?{address}"
        finally:
            postgres.execute(f"DROP DATABASE {OWNER} WITH (FORCE)")
            made = postgres.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'plain\\_%'").fetchall()
            for (name,) in sorted(made, key=lambda row: row[0] == OWNER):
                postgres.execute(f"DROP ROLE {name}")


@pytest.mark.prove
def test_such_an_owner_makes_tables_and_everybodys_rights_twice(owned_database: str) -> None:
    """What setup does in PostgreSQL, where CloudNativePG made the owner; again, as with each new version."""
    names = [role.name for role in database_roles.all_roles() if not role.member_of]
    environment = {
        **os.environ,
        "DATABASE_URL": owned_database,
        "ACCOUNT_PREFIX": "plain_",
        "ROLE_PASSWORDS": ",".join(f"{name}={name}" for name in names),
    }
    for command in (["migrate", "-v0"], ["create_database_roles"], ["create_database_roles"], ["seed_shop"]):
        done = subprocess.run(  # noqa: S603 - our own command line
            [sys.executable, "manage.py", *command],
            cwd=settings.BASE_DIR, env=environment, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr[-1000:]}"
