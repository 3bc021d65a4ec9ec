"""What code demands of the transaction around it. Who opens one says so with `transaction.atomic(durable=True)`."""

from django.db import connection
from django.db.transaction import TransactionManagementError


def require(caller: str) -> None:
    """Refuse to go on unless a transaction is under way; `caller` is the name that the error shows.

    Raises:
        TransactionManagementError: there is none. Call it inside `transaction.atomic()`.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError(f"{caller} must run inside transaction.atomic()")


def forbid(caller: str) -> None:
    """Refuse to go on while a transaction is under way: what the caller reports as done has to be committed.

    Raises:
        TransactionManagementError: there is one. Call it outside of `transaction.atomic()`.
    """
    if connection.in_atomic_block:
        raise TransactionManagementError(f"{caller} must run outside of transaction.atomic(): it commits by itself")
