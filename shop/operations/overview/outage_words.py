"""Why a source cannot be read, in a few plain words without addresses or passwords."""

import redis
from confluent_kafka import KafkaError, KafkaException
from django.db import DatabaseError

from kafka_bridge.runtime.postgresql import database_bounds

_REFUSED = "it refuses connections"
_SILENT = "it does not answer"
_KAFKA = {
    KafkaError._TRANSPORT: "no broker can be reached",
    KafkaError._ALL_BROKERS_DOWN: "no broker can be reached",
    KafkaError._TIMED_OUT: "no broker answers",
    KafkaError._TIMED_OUT_QUEUE: "no broker answers",
    KafkaError.REQUEST_TIMED_OUT: "no broker answers",
    KafkaError._AUTHENTICATION: "it refuses our password",
    KafkaError.SASL_AUTHENTICATION_FAILED: "it refuses our password",
    KafkaError._SSL: "no TLS connection can be made",
}
_IN_TEXT = (
    ("permission denied", "permission denied"),
    ("no permissions", "permission denied"),
    ("refused", _REFUSED),
    ("statement timeout", _SILENT),
    ("timed out", _SILENT),
    ("timeout", _SILENT),
    ("not answered", _SILENT),
    ("authentication", "it refuses our password"),
    ("too many clients", "it has no free connection"),
    ("remaining connection slots", "it has no free connection"),
    ("starting up", "it is starting"),
    ("shutting down", "it is shutting down"),
    ("closed", "the connection was cut"),
    ("terminating connection", "the connection was cut"),
    ("read-only", "it takes no writes"),
    ("no such file", "it does not run"),
)


def no_answer(seconds: float) -> str:
    """It may still come."""
    return f"no answer for {seconds:g} s"


def describe(error: Exception) -> str:
    """In a few words, such as `it refuses connections`; the error's kind where nothing better is known."""
    if isinstance(error, KafkaException) and isinstance(cause := error.args[0], KafkaError):
        return _KAFKA.get(cause.code(), cause.name())
    if isinstance(error, database_bounds.ReadOnlyServer):
        return "it takes no writes"
    if isinstance(error, redis.TimeoutError | TimeoutError):
        return _SILENT
    if isinstance(error, DatabaseError | redis.RedisError | OSError):
        text = str(error).lower()
        return next((words for part, words in _IN_TEXT if part in text), type(error).__name__)
    return type(error).__name__
