"""Which errors are waited out, and which come again whatever one does."""

import pytest
from confluent_kafka import KafkaError, KafkaException
from django.db import OperationalError
from psycopg import errors

from kafka_bridge.runtime import error_classes
from kafka_bridge.runtime.postgresql import bulk_rows

pytestmark = pytest.mark.security


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
    ],
)
def test_what_kafka_refuses_for_good_is_not_waited_out(code: int) -> None:
    """XB2, FAILURES 48."""
    refusal = KafkaException(KafkaError(code))
    assert (error_classes.is_refusal(refusal), error_classes.is_infrastructure(refusal)) == (True, False)


@pytest.mark.parametrize(
    "error",
    [
        KafkaException(KafkaError(KafkaError._TIMED_OUT)),
        KafkaException(KafkaError(KafkaError.NOT_ENOUGH_REPLICAS)),
        KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN)),
        KafkaException(KafkaError(KafkaError.INVALID_RECORD, "a producer that was fenced", fatal=True)),
        KafkaException(),
        OperationalError("the server closed the connection"),
    ],
)
def test_what_passes_is_waited_out(error: Exception) -> None:
    assert (error_classes.is_refusal(error), error_classes.is_infrastructure(error)) == (False, True)


def test_what_is_too_much_for_postgresql_is_not_waited_out() -> None:
    """XB1, FAILURES 47: an index row that is too large, or JSON nested too deep, stays so."""
    for cause in (errors.ProgramLimitExceeded(), errors.StatementTooComplex()):
        error = OperationalError("stack depth limit exceeded")
        error.__cause__ = cause
        assert not error_classes.is_infrastructure(error)


def test_an_error_that_cannot_tell_its_words_is_described_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RecursionError

    assert error_classes.describe(Mute()) == "Mute: its words cannot be told (RecursionError)"


def test_whatever_a_message_says_becomes_a_text_that_postgresql_takes() -> None:
    """XE14, FAILURES 47."""
    assert bulk_rows.storable("a\x00b\ud800c ü") == "a\N{REPLACEMENT CHARACTER}b?c ü"
