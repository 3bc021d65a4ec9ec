"""The two tables that make a message happen exactly once: the outbox and the inbox."""

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
