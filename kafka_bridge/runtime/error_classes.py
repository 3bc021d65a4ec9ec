"""Sorting errors: the world's (wait), the database's (run again), or the message's (dead letter)."""

from confluent_kafka import KafkaException
from django.db import InterfaceError, OperationalError
from psycopg import errors

from kafka_bridge.runtime import access_errors, conf


class Unavailable(Exception):
    """Something outside cannot be reached, the message is fine. Raise it in a handler to be called again."""


# psycopg takes these for mistakes of ours. The session was ended, see Note [Frozen in a transaction] in
# `idle_timeouts.py`; or our role lacks a right, which is no message's fault, and comes with the next deployment.
_NO_MISTAKES = (errors.IdleInTransactionSessionTimeout, errors.InsufficientPrivilege)
_CONFLICTS = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)
_INFRASTRUCTURE = (Unavailable, InterfaceError, OperationalError, KafkaException)


def is_conflict(error: BaseException) -> bool:
    """A deadlock or a serialization failure: the same transaction, run again, is expected to pass."""
    return isinstance(error.__cause__, _CONFLICTS) or isinstance(error, _CONFLICTS)


def is_infrastructure(error: BaseException) -> bool:
    """PostgreSQL, Kafka or what the project names cannot be reached: pause, and try the same again later."""
    if access_errors.was_refused(error):
        return False
    away: tuple[type[BaseException], ...] = (*_INFRASTRUCTURE, *conf.current().unavailable_errors)
    return (isinstance(error, away) and not is_conflict(error)) or isinstance(error.__cause__, _NO_MISTAKES)


def describe(error: BaseException) -> str:
    """The error on one line: its class and its message, 500 characters at most."""
    lines = f"{type(error).__name__}: {error}".splitlines()
    return lines[0][:500]
