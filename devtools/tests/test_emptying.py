"""What is left in the database after a test that committed: what the migrations left."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import DatabaseError, connection
from django.test import TransactionTestCase

from devtools.testing import emptying
from devtools.testing.shop.storefront import a_book
from inventory.models import Movement
from shop.models import Book

pytestmark = pytest.mark.django_db(transaction=True)


def empty() -> None:
    emptying.Emptying().empty(TransactionTestCase())


def test_rows_that_nobody_may_delete_go_as_well() -> None:
    a_book(stock=3)
    with pytest.raises(DatabaseError, match="append"):
        Movement.objects.all().delete()
    empty()
    assert (Movement.objects.count(), Book.objects.count()) == (0, 0)
    with connection.cursor() as cursor:
        cursor.execute("SHOW session_replication_role")
        assert cursor.fetchone() == ("origin",)


def test_a_table_that_has_grown_is_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emptying, "MOST_BYTES", 0)
    book = a_book(stock=3)
    User.objects.create_user("ada")
    empty()
    assert (Book.objects.count(), User.objects.count(), Movement.objects.count()) == (0, 0, 0)
    assert a_book(stock=1).pk > book.pk, "sequences go on"


def test_permissions_stay_and_are_made_again_where_a_test_changed_them() -> None:
    before = set(Permission.objects.values_list("content_type", "codename"))
    emptied = emptying.Emptying()
    Permission.objects.filter(codename="view_order").delete()
    emptied.empty(TransactionTestCase())
    assert {codename for _, codename in Permission.objects.values_list("content_type", "codename")} == {
        codename for _, codename in before
    }
    ids = set(Permission.objects.values_list("pk", flat=True))
    emptied.empty(TransactionTestCase())
    assert set(Permission.objects.values_list("pk", flat=True)) == ids
