"""The tables: outbox and inbox, which make a message take effect once; lag samples and heartbeats; messages that are
parked, dead or refused; controls of groups.
"""

from typing import Any

from django.db import models
from django.db.models.functions import Now

UNREADABLE = "Malformed: "
"""How the errors of dead letters begin that could not be read."""


class OutboxRow(models.Model):
    """An event that was stated in a transaction; the relay brings it to Kafka and notes where it lies."""

    event_id = models.UUIDField()
    topic = models.CharField(max_length=120)
    key = models.CharField(max_length=120)
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
            # All rows of a key, and the one that bears a message out; see `believing/books.py`.
            models.Index(fields=["key", "event_id"], name="outbox_key_event"),
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
        RELEASED = "released", "Given up: what waits behind it goes on"
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
        constraints = (models.UniqueConstraint(fields=["group", "event_id"], name="parked_event_once"),)
        indexes = (
            models.Index(fields=["group", "key", "id"], name="parked_key"),
            models.Index(fields=["group"], name="parked_released", condition=models.Q(state="released")),
        )

    def __str__(self) -> str:
        return f"{self.group} {self.type} {self.key}"


class DeadLetter(models.Model):
    """A message that a group gave up on, as its own consumer group stored it for people to look at.

    One row for each message, whatever place it lay at: the same one given up on again after a redrive is the same row,
    parked once more.
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
    """What its headers say; None where the message is so malformed that it has none."""
    message_id = models.UUIDField(null=True)
    """What names it: its event's id, or, where it could not be read, an id made of all that there is about it. None for
    letters of before that had no such name; they get it when their message comes again."""
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
        constraints = (models.UniqueConstraint(fields=["group", "message_id"], name="dead_letter_message_once"),)
        indexes = (
            models.Index(fields=["event_id"], name="dead_letter_event"),
            models.Index(fields=["state", "fingerprint"], name="dead_letter_kind"),
            models.Index(fields=["key"], name="dead_letter_key"),
            models.Index(fields=["send_at"], name="dead_letter_to_send", condition=models.Q(send_at__isnull=False)),
            models.Index(fields=["closed_at"], name="dead_letter_closed", condition=models.Q(closed_at__isnull=False)),
        )

    def __str__(self) -> str:
        return f"{self.group} {self.type} {self.topic}[{self.partition}]@{self.offset}"

    @property
    def parked_as(self) -> dict[str, Any]:
        """Group and event id of the row that its message is parked as, if it is."""
        return {"group": self.group, "event_id": self.event_id if self.is_readable else self.message_id}

    @property
    def is_readable(self) -> bool:
        """Whether its group could read it, so that its event's id is known to be its own."""
        if self.event_id is None or self.message_id is None:
            return self.event_id is not None and not self.error.startswith(UNREADABLE)
        return self.message_id == self.event_id

    @property
    def contents(self) -> bytes:
        """What is sent when it is sent again."""
        return bytes(self.value if self.edited_value is None else self.edited_value)


class UnknownEvent(models.Model):
    """Events of a type and version that a group passed over, and that its code does not know: how many, and when."""

    group = models.CharField(max_length=60)
    type = models.CharField(max_length=80)
    version = models.CharField(max_length=20)
    """As its header says it, whatever that is."""
    count = models.BigIntegerField()
    first_at = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "unknown event"
        constraints = (models.UniqueConstraint(fields=["group", "type", "version"], name="unknown_event_once"),)

    def __str__(self) -> str:
        return f"{self.group} {self.type} version {self.version}: {self.count}"


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


class RefusedMessage(models.Model):
    """A message that a group did not believe: it did nothing, and a person looks at who wrote it. See
    `believing/refusals.py`.
    """

    group = models.CharField(max_length=60)
    topic = models.CharField(max_length=120)
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    key = models.CharField(max_length=120)
    event_id = models.UUIDField()
    """As it claims: an honest event may have this id, too."""
    type = models.CharField(max_length=80)
    headers = models.JSONField(default=list)
    """As they came: a list of [name, value in base64]."""
    value = models.BinaryField()
    """The body, or as much of a very long one as is kept."""
    why = models.CharField(max_length=500)
    undone = models.CharField(max_length=300)
    """What its handler would have done."""
    refused_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)
    closed_by = models.CharField(max_length=150, blank=True)
    note = models.CharField(max_length=500, blank=True)
    """What came of it."""

    class Meta:
        verbose_name = "refused message"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["group", "topic", "partition", "offset", "event_id"], name="refused_message_once"
            ),
        )
        indexes = (
            models.Index(fields=["key"], name="refused_message_key"),
            models.Index(fields=["id"], name="refused_message_open", condition=models.Q(closed_at=None)),
            models.Index(
                fields=["closed_at"], name="refused_message_closed", condition=models.Q(closed_at__isnull=False)
            ),
        )

    def __str__(self) -> str:
        return f"{self.group} {self.type} {self.topic}[{self.partition}]@{self.offset}"


class ProcessHeartbeat(models.Model):
    """What a process said of itself last; `monitoring/heartbeats/heartbeat.py` has what is in the body."""

    instance = models.CharField(max_length=200, primary_key=True)
    role = models.CharField(max_length=80)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    """When it said that it ends; None for one that runs, or has ended without a word."""
    body = models.TextField()

    class Meta:
        verbose_name = "heartbeat of a process"
        verbose_name_plural = "heartbeats of processes"
        indexes = (models.Index(fields=["beat_at"], name="process_heartbeat_at"),)

    def __str__(self) -> str:
        return self.instance


class GroupControl(models.Model):
    """What a person has a consumer group do: stand still, or one of its members leave and come back."""

    class Kind(models.TextChoices):
        """What is to be done."""

        PAUSE = "pause", "Pause"
        REJOIN = "rejoin", "Leave and come back"

    kind = models.CharField(max_length=10, choices=Kind)
    group = models.CharField(max_length=60)
    topic = models.CharField(max_length=120, blank=True)
    """Without the prefix; empty for all that the group hears."""
    partition = models.IntegerField(null=True)
    """None for all of the topic."""
    member_id = models.CharField(max_length=200, blank=True)
    """Who is to leave and come back, as the brokers call it."""
    who = models.CharField(max_length=150)
    reason = models.CharField(max_length=500)
    at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    """When a pause was ended; None while it is in force."""
    ended_by = models.CharField(max_length=150, blank=True)
    ended_because = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = "control of a group"
        verbose_name_plural = "controls of groups"
        ordering = ("-id",)
        permissions = (("control_groups", "Can pause and resume consumer groups"),)
        constraints = (
            models.UniqueConstraint(
                fields=["group", "topic", "partition"],
                name="group_control_one_pause",
                condition=models.Q(kind="pause", ended_at=None),
                nulls_distinct=False,
            ),
        )
        indexes = (models.Index(fields=["group", "at"], name="group_control_group"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.group} {self.topic or 'all topics'}"
