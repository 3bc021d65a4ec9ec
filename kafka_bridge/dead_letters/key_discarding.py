"""Giving up all that a group has of one key: its dead letters, and the messages that wait behind one of them.

Each message that waits becomes a discarded letter of its own: it can be looked at, and whoever rebuilds tables from the
log knows that it was not handled.
"""

from collections.abc import Callable

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from kafka_bridge.dead_letters import acts, letter_store, redriving, rights
from kafka_bridge.dead_letters.acts import LetterAct
from kafka_bridge.models import DeadLetter, ParkedMessage
from kafka_bridge.retrying import parking

ERROR = "Discarded together with what it waited behind"
_HAD = """
INSERT INTO kafka_bridge_inboxrow ("group", event_id, topic, partition, "offset")
SELECT "group", event_id, topic, partition, "offset" FROM kafka_bridge_parkedmessage
WHERE "group" = %s AND key = %s ORDER BY event_id
ON CONFLICT DO NOTHING
"""
_AS_LETTERS = """
INSERT INTO kafka_bridge_deadletter ("group", topic, partition, "offset", key, event_id, message_id, type, state, error,
    handler, fingerprint, traceback, attempts, headers, value, died_at, closed_at)
SELECT "group", topic, partition, "offset", key, event_id, event_id, type, 'parked', %s, '', %s, '', attempts, headers,
    value, now(), NULL
FROM kafka_bridge_parkedmessage WHERE "group" = %s AND key = %s ORDER BY id
ON CONFLICT ("group", message_id) DO UPDATE SET state = 'parked', send_at = NULL
    WHERE kafka_bridge_deadletter.state = 'redriven'
"""


def obstacle(letter: DeadLetter) -> str:
    """What stands in the way of discarding all of the letter's key, or "" if nothing does."""
    if why := redriving.obstacle_to_discarding(letter):
        return why
    head = ParkedMessage.objects.filter(group=letter.group, key=letter.key).order_by("id").values("state").first()
    return _obstacle(head["state"] if head else ParkedMessage.State.DEAD)


def _obstacle(state: str) -> str:
    return "" if state == ParkedMessage.State.DEAD else "a message of this key is being tried again"


def count(letter: DeadLetter) -> int:
    """How many messages of the letter's key its group would give up, the letter included."""
    waiting = ParkedMessage.objects.filter(group=letter.group, key=letter.key)
    open_letters = _open(letter)
    # A dead head has a letter of its own.
    known = waiting.filter(event_id__in=open_letters.exclude(message_id=None).values("message_id"))
    return open_letters.count() + waiting.count() - known.count()


def discard_key(
    letter_id: int, *, by: str, reason: str, refuse: Callable[[DeadLetter], str] = rights.nothing_more
) -> redriving.RedriveOutcome:
    """Give up all that the letter's group has of its key, the letter included; not in a transaction.

    `refuse` says of each why it is left alone, or ""; then so are all.

    Raises:
        ValueError: without a reason.
        DeadLetter.DoesNotExist: there is no such letter.
    """
    redriving.require_reason(reason)
    return redriving.again_after_conflicts(lambda: _discard_key(letter_id, by, reason, refuse))


def _discard_key(letter_id: int, by: str, reason: str, refuse: Callable[[DeadLetter], str]) -> redriving.RedriveOutcome:
    with transaction.atomic(durable=True):
        letter = DeadLetter.objects.select_for_update().get(pk=letter_id)
        # Once its head is locked nothing comes to the key, and nothing of it is handled.
        head = parking.lock_heads(group=letter.group, keys=[letter.key]).get(letter.key)
        why = redriving.obstacle_to_discarding(letter) or (_obstacle(head.state) if head else "")
        if why:
            return redriving.RedriveOutcome(left=[(letter_id, why)])
        outcome = redriving.RedriveOutcome()
        _turn_into_letters(letter)
        letters = list(_open(letter).order_by("id").select_for_update())
        if why := next(filter(None, map(refuse, letters)), ""):
            transaction.set_rollback(True)
            return redriving.RedriveOutcome(left=[(letter_id, why)])
        for each in letters:
            redriving.note_as_had(each)
            DeadLetter.objects.filter(pk=each.pk).update(
                state=DeadLetter.State.DISCARDED, closed_at=Now(), send_at=None
            )
            acts.note(LetterAct(letter=each, who=by, what="discarded", reason=reason))
            outcome.done.append(each.pk)
        return outcome


def _turn_into_letters(letter: DeadLetter) -> None:
    """What is parked of the key has been had, and is among the letters."""
    kind = letter_store.fingerprint_of(error=ERROR, handler="", event_type="")
    place = [letter.group, letter.key]
    with connection.cursor() as cursor:
        cursor.execute(_HAD, place)
        cursor.execute(_AS_LETTERS, [ERROR, kind, *place])
        cursor.execute('DELETE FROM kafka_bridge_parkedmessage WHERE "group" = %s AND key = %s', place)


def _open(letter: DeadLetter) -> QuerySet[DeadLetter]:
    return DeadLetter.objects.filter(group=letter.group, key=letter.key, state=DeadLetter.State.PARKED)
