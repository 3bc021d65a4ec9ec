"""The tables: outbox and inbox, which make a message take effect once; lag samples; parked messages; dead letters."""

from typing import Any

from django.db import models
from django.db.models.functions import Now


class OutboxRow(models.Model):
    """An event that was stated in a transaction; the relay brings it to Kafka and notes where it lies."""

    event_id = models.UUIDField()
    topic = models.CharField(max_length=120)
    key = models.CharField(max_length=120, db_index=True)
    type = models.CharField(max_length=80)
    version = models.PositiveSmallIntegerField()
    correlation_id = models.UUIDField()
    causation_id = models.UUIDField(null=True)
    traceparent = models.CharField(max_length=55)
    body = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(null=True)
    partition = models.IntegerField(null=True)
    offset = models.BigIntegerField(null=True)

    class Meta:
        verbose_name = "outbox row"
        indexes = (
            # The relay never asks for `id > last`: a transaction that commits late would be skipped.
            models.Index(fields=["id"], name="outbox_unpublished", condition=models.Q(published_at=None)),
            models.Index(fields=["event_id"], name="outbox_event"),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.key}"


class InboxRow(models.Model):
    """A group has had this event. Written in its effects' transaction, so that a second delivery finds it."""

    pk = models.CompositePrimaryKey("group", "event_id")
    group = models.CharField(max_length=60)
    event_id = models.UUIDField()
    topic = models.CharField(max_length=120)
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    handled_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "inbox row"

    def __str__(self) -> str:
        return f"{self.group} {self.event_id}"


class LagSample(models.Model):
    """How far a group was behind in one partition, as the timekeeper saw it; kept for pace and for charts."""

    at = models.DateTimeField(db_default=Now())
    group = models.CharField(max_length=60)
    topic = models.CharField(max_length=120)
    partition = models.IntegerField()
    committed = models.BigIntegerField(null=True)
    """None where the group had not committed anything."""
    end = models.BigIntegerField()
    messages = models.BigIntegerField()
    seconds = models.FloatField(null=True)
    owner = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = "lag sample"
        indexes = (models.Index(fields=["at"], name="lag_sample_at"),)

    def __str__(self) -> str:
        return f"{self.group} {self.topic}[{self.partition}]: {self.messages}"


class ParkedMessage(models.Model):
    """A message that a group could not handle yet, or that waits behind one of the same key.

    # Note [Sequence behind a failure]
    Of each group and key the row with the lowest id is the head: it failed, and is being retried, or lies among the
    dead letters. All later messages of that key are put down behind it instead of being handled, from whatever topic
    they come; other keys pass. When the head is handled or discarded, the others follow in the order of their ids, each
    in a transaction of its own, and the key is free again. Asking whether a key is parked locks its head, so that
    no message slips in between the last follower and the deletion of the rows.
    """

    class State(models.TextChoices):
        """What it waits for."""

        RETRYING = "retrying", "Waits for its next attempt"
        """A copy lies in the retry topic, with the time of the next attempt."""
        DEAD = "dead", "Among the dead letters"
        RELEASED = "released", "Discarded by somebody"
        """The head will never be handled; its followers are to be handled now."""
        WAITING = "waiting", "Waits behind another one"

    group = models.CharField(max_length=60)
    key = models.CharField(max_length=120)
    state = models.CharField(max_length=10, choices=State.choices)
    topic = models.CharField(max_length=120)
    """As the catalogue calls it, without the cluster's prefix; where it was read first, as are partition and offset."""
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    event_id = models.UUIDField()
    type = models.CharField(max_length=80)
    headers = models.JSONField(default=list)
    """As they came: a list of [name, value in base64]."""
    value = models.BinaryField()
    attempts = models.PositiveIntegerField(default=0)
    """Of the head: rounds of attempts so far, the first one in its place included."""
    due_at = models.DateTimeField(null=True)
    """Of the head: when it is tried again."""
    error = models.CharField(max_length=500, blank=True)
    parked_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "parked message"
        constraints = (models.UniqueConstraint(fields=["group", "topic", "partition", "offset"], name="parked_once"),)
        indexes = (
            models.Index(fields=["group", "key", "id"], name="parked_key"),
            models.Index(fields=["group"], name="parked_released", condition=models.Q(state="released")),
        )

    def __str__(self) -> str:
        return f"{self.group} {self.type} {self.key}"


class DeadLetter(models.Model):
    """A message that a group gave up on, as its own consumer group stored it for people to look at.

    One row for each place (topic, partition, offset) at which the message was read first: the same message given up on
    again after a redrive is the same row, parked once more.
    """

    class State(models.TextChoices):
        """How far it has been dealt with."""

        PARKED = "parked", "Waits for a person"
        REDRIVEN = "redriven", "Sent again"
        RESOLVED = "resolved", "Handled after all"
        DISCARDED = "discarded", "Discarded"

    group = models.CharField(max_length=60)
    topic = models.CharField(max_length=120)
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    key = models.CharField(max_length=120, blank=True)
    event_id = models.UUIDField(null=True)
    """None where the message is so malformed that it has none."""
    type = models.CharField(max_length=80, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PARKED)
    error = models.CharField(max_length=500)
    handler = models.CharField(max_length=200, blank=True)
    """The function that failed; empty where none was called."""
    fingerprint = models.CharField(max_length=64)
    """The same for the same error in the same handler, whatever ids and numbers its message has."""
    traceback = models.TextField(blank=True)
    attempts = models.PositiveIntegerField(default=1)
    """Over all rounds and redrives."""
    headers = models.JSONField(default=list)
    """As they came: a list of [name, value in base64]."""
    value = models.BinaryField()
    edited_value = models.BinaryField(null=True)
    """What is sent in place of the value when it is redriven; the original stays."""
    send_at = models.DateTimeField(null=True)
    """Of a redriven one: when its copy is due to go to the retry topic; None once Kafka has acknowledged it."""
    died_at = models.DateTimeField()
    """When the group gave up on it, the last time."""
    stored_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)
    """When it was resolved or discarded."""

    class Meta:
        verbose_name = "dead letter"
        ordering = ("-id",)
        permissions = (
            ("redrive_deadletter", "Can send a dead letter again"),
            ("edit_deadletter", "Can edit the event of a dead letter"),
        )
        constraints = (
            models.UniqueConstraint(fields=["group", "topic", "partition", "offset"], name="dead_letter_once"),
        )
        indexes = (
            models.Index(fields=["state", "fingerprint"], name="dead_letter_kind"),
            models.Index(fields=["key"], name="dead_letter_key"),
            models.Index(fields=["send_at"], name="dead_letter_to_send", condition=models.Q(send_at__isnull=False)),
            models.Index(fields=["closed_at"], name="dead_letter_closed", condition=models.Q(closed_at__isnull=False)),
        )

    def __str__(self) -> str:
        return f"{self.group} {self.type} {self.topic}[{self.partition}]@{self.offset}"

    @property
    def identity(self) -> dict[str, Any]:
        """Where its message was read first, and by which group: what names it everywhere."""
        return {"group": self.group, "topic": self.topic, "partition": self.partition, "offset": self.offset}

    @property
    def contents(self) -> bytes:
        """What is sent when it is sent again."""
        return bytes(self.value if self.edited_value is None else self.edited_value)


class DeadLetterAct(models.Model):
    """What was done to a dead letter, by whom, and why. Append-only, by a trigger in the database."""

    letter = models.ForeignKey(DeadLetter, on_delete=models.PROTECT, related_name="acts")
    at = models.DateTimeField(db_default=Now())
    who = models.CharField(max_length=150)
    what = models.CharField(max_length=40)
    """"redriven", "edited", "discarded", "resolved", "parked again"."""
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.who}: {self.what}"
