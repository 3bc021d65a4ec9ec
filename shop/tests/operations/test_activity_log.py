"""The audit log: an entry stands and falls with its deed, and nobody changes it afterwards."""

import uuid

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import DatabaseError, connection, transaction

from shop.models import AuditEntry
from shop.operations import activity_log

pytestmark = pytest.mark.money


@pytest.mark.django_db
def test_says_who_did_what_and_what_it_was_before_and_after() -> None:
    """Everything that was said is there, and the database says when."""
    user, order_id = User.objects.create_user("ada"), uuid.uuid4()
    activity_log.record(
        user=user,
        what="order cancelled",
        subject="BR-1",
        order_id=order_id,
        reason="sold out",
        before={"status": "PAID"},
        after={"status": "CANCELLED"},
    )
    entry = AuditEntry.objects.get()
    assert (entry.who, entry.user_id, entry.what, entry.subject) == ("ada", user.pk, "order cancelled", "BR-1")
    assert (entry.order_id, entry.reason) == (order_id, "sold out")
    assert (entry.before, entry.after) == ({"status": "PAID"}, {"status": "CANCELLED"})
    assert entry.at is not None


@pytest.mark.django_db
@pytest.mark.parametrize("user", [None, AnonymousUser()])
def test_somebody_without_an_account_is_a_buyer(user: AnonymousUser | None) -> None:
    """Guests have no name."""
    activity_log.record(user=user, what="return asked for", subject="BR-1")
    assert AuditEntry.objects.values_list("who", "user_id").get() == ("buyer", None)


@pytest.mark.django_db
def test_cuts_what_is_too_long() -> None:
    """A long reason is no reason to refuse the deed."""
    activity_log.record(user=None, what="order cancelled", subject="s" * 200, reason="r" * 900)
    entry = AuditEntry.objects.get()
    assert (len(entry.subject), len(entry.reason)) == (120, 500)


@pytest.mark.django_db(transaction=True)
def test_refuses_to_note_what_may_not_happen() -> None:
    """Outside a transaction the deed could be undone and its entry stay, or the other way round."""
    with pytest.raises(transaction.TransactionManagementError):
        activity_log.record(user=None, what="order cancelled", subject="BR-1")
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_deed_that_was_undone_leaves_no_entry() -> None:
    """The entry is rolled back with it."""
    with pytest.raises(RuntimeError), transaction.atomic():
        activity_log.record(user=None, what="order cancelled", subject="BR-1")
        raise RuntimeError
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "sql",
    ["UPDATE shop_auditentry SET who = 'eve'", "DELETE FROM shop_auditentry", "UPDATE shop_auditentry SET id = 0"],
)
def test_nobody_changes_the_log(sql: str) -> None:
    """The database itself refuses, for every user."""
    activity_log.record(user=None, what="order cancelled", subject="BR-1")
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    assert AuditEntry.objects.values_list("who", flat=True).get() == "buyer"
