"""Brings dead letters that are to be sent again to their retry topics; see Note [Decided first, sent later] in
`redriving.py`.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from confluent_kafka import KafkaException
from django.db import connection, transaction
from django.db.models.functions import Now

from kafka_bridge.dead_letters import letter_store
from kafka_bridge.models import DeadLetter, DeadLetterAct, ParkedMessage
from kafka_bridge.retrying import parking, retry_topic
from kafka_bridge.runtime import error_classes

State = DeadLetter.State
_SEND_AT_ONCE = 50
# Longer than sending so many takes: the letters of a sender that died are free again after this.
_LEASE = timedelta(seconds=90)
# An array, for it is made once: a plan may ask `IN (SELECT … LIMIT …)` again for each row, and claim more than that.
_CLAIM = """
UPDATE kafka_bridge_deadletter SET send_at = now() + %s WHERE id = ANY(ARRAY(
    SELECT id FROM kafka_bridge_deadletter
    WHERE send_at <= now() AND state = 'redriven' ORDER BY send_at, id LIMIT %s FOR UPDATE SKIP LOCKED
))
RETURNING *
"""
_DEAD_HEAD = """
    h."group" = l."group" AND h.event_id = l.message_id AND h.state = 'dead'
"""
_RELEASE = f"""
UPDATE kafka_bridge_parkedmessage h SET state = 'released' FROM kafka_bridge_deadletter l
WHERE {_DEAD_HEAD} AND l.state = 'discarded'
"""  # noqa: S608 - nothing of it comes from outside
_SEND_ONCE_MORE = f"""
UPDATE kafka_bridge_deadletter l SET send_at = now() FROM kafka_bridge_parkedmessage h
WHERE {_DEAD_HEAD} AND l.state = 'redriven' AND l.send_at IS NULL AND l.died_at < now() - interval '1 minute'
"""  # noqa: S608 - nothing of it comes from outside


def send_due() -> bool:
    """Bring copies that are due to their retry topics; True says that there may be more. Blocks while Kafka takes them.

    One that it refuses for good waits for a person again, with what Kafka said.

    Raises:
        KafkaException: it did not take one; that one and the rest are due again.
    """
    letters = list(DeadLetter.objects.raw(_CLAIM, [_LEASE, _SEND_AT_ONCE]))
    sent: list[int] = []
    try:
        for letter in sorted(letters, key=lambda letter: letter.pk):
            try:
                _send(letter)
            except KafkaException as refusal:
                if not error_classes.is_refusal(refusal):
                    raise
                _give_back(letter, error_classes.describe(refusal))
            sent.append(letter.pk)
    finally:
        claimed = [letter.pk for letter in letters]
        sending = DeadLetter.objects.filter(state=State.REDRIVEN)
        sending.filter(pk__in=sent).update(send_at=None)
        if rest := set(claimed) - set(sent):
            sending.filter(pk__in=rest).update(send_at=Now())
    return len(letters) == _SEND_AT_ONCE


def unsent(ids: Iterable[int]) -> int:
    """How many of these letters are still to be brought to their retry topics."""
    return DeadLetter.objects.filter(pk__in=list(ids), state=State.REDRIVEN, send_at__isnull=False).count()


def _send(letter: DeadLetter) -> None:
    message: dict[str, Any] = {"headers": letter_store.unpack(letter.headers), "value": letter.contents}
    with transaction.atomic():
        # Once more: when the redrive was decided, the group may not yet have noted that the head is dead.
        parking.send_again(**letter.parked_as, **message)
    retry_topic.forward(
        group=letter.group,
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        message_id=letter.message_id,
        key=letter.key,
        **message,
    )


def _give_back(letter: DeadLetter, why: str) -> None:
    with transaction.atomic():
        head = ParkedMessage.objects.filter(**letter.parked_as, state=ParkedMessage.State.RETRYING, attempts=0)
        head.update(state=ParkedMessage.State.DEAD)
        DeadLetter.objects.filter(pk=letter.pk).update(state=State.PARKED, send_at=None)
        DeadLetterAct.objects.create(letter=letter, who=letter.group, what="not sent", reason=why)


def repair_heads() -> int:
    """Release or resend dead heads whose letters were dealt with already; returns how many.

    A letter may be stored, and dealt with, in the moment before its group notes that the head is dead.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_RELEASE)
        released = cursor.rowcount
        cursor.execute(_SEND_ONCE_MORE)
        return int(released + cursor.rowcount)
