"""Accounts in PostgreSQL are made and kept by an owner who may create roles, and need be no superuser."""

from collections.abc import Iterator

import pytest
from django.db import connection

from shop.access import database_grants

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
