"""Sorting errors: the world's (wait), the database's (run again), or the message's (dead letter)."""

from confluent_kafka import KafkaError, KafkaException
from django.db import InterfaceError, OperationalError
from psycopg import errors

from kafka_bridge.runtime import access_errors, conf


class Unavailable(Exception):
    """Something outside cannot be reached, the message is fine. Raise it in a handler to be called again."""


# psycopg takes these for mistakes of ours. The session was ended, see Note [Frozen in a transaction] in
# `database_bounds.py`; or our role lacks a right, which is no message's fault, and comes with the next deployment.
_NO_MISTAKES = (errors.IdleInTransactionSessionTimeout, errors.InsufficientPrivilege)
# PostgreSQL calls it an operational error that a value is nested too deep or too large for an index, and says the same
# for ever.
_TOO_MUCH = (errors.ProgramLimitExceeded, errors.StatementTooComplex, errors.TooManyColumns, errors.TooManyArguments)
_CONFLICTS = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)
_INFRASTRUCTURE = (Unavailable, InterfaceError, OperationalError, KafkaException)

# What brokers, or the client before them, say of a message or a topic that they will not take however often it comes.
_REFUSALS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._INVALID_ARG,
        KafkaError._BAD_MSG,
        KafkaError._BAD_COMPRESSION,
    }
)


def is_refusal(error: BaseException) -> bool:
    """Kafka will not take this message, or nothing into this topic: sending it once more changes nothing."""
    if not (isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError)):
        return False
    # A producer beyond repair is replaced by another one, which may well be believed.
    return error.args[0].code() in _REFUSALS and not error.args[0].fatal()


def is_conflict(error: BaseException) -> bool:
    """A deadlock or a serialization failure: the same transaction, run again, is expected to pass."""
    return isinstance(error.__cause__, _CONFLICTS) or isinstance(error, _CONFLICTS)


def is_infrastructure(error: BaseException) -> bool:
    """PostgreSQL, Kafka or what the project names cannot be reached: pause, and try the same again later."""
    if is_refusal(error) or access_errors.was_access_refused(error) or isinstance(error.__cause__, _TOO_MUCH):
        return False
    away: tuple[type[BaseException], ...] = (*_INFRASTRUCTURE, *conf.current().unavailable_errors)
    return (isinstance(error, away) and not is_conflict(error)) or isinstance(error.__cause__, _NO_MISTAKES)


def dependency_of(error: BaseException) -> str:
    """What cannot be reached, as heartbeats name it; the client's package where it is none of the bridge's own."""
    if isinstance(error, InterfaceError | OperationalError):
        return "postgresql"
    if isinstance(error, KafkaException):
        return "kafka"
    package = type(error).__module__.partition(".")[0]
    return "" if package in ("builtins", "kafka_bridge") else package


def describe(error: BaseException) -> str:
    """The error on one line: its class and its message, 500 characters at most."""
    try:
        words = str(error)
    except Exception as why:  # an exception of somebody else's may stumble over what it is about
        words = f"its words cannot be told ({type(why).__name__})"
    lines = f"{type(error).__name__}: {words}".splitlines()
    return lines[0][:500]
