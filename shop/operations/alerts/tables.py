"""The tables of alerts; `shop/models.py` names them to Django."""

from django.db import models
from django.db.models.functions import Now


class AlertRecord(models.Model):
    """One time that an alert was raised; `shop/operations/alerts/alert.py` says what the fields are."""

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=60)
    subject = models.CharField(max_length=120, blank=True)
    severity = models.CharField(max_length=10, choices=[("critical", "Critical"), ("warning", "Warning")])
    message = models.CharField(max_length=1000)
    advice = models.CharField(max_length=1000)
    url = models.CharField(max_length=300, blank=True)
    since = models.DateTimeField()
    raised_at = models.DateTimeField(db_index=True)
    cleared_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-raised_at",)
        verbose_name = "alert"
        constraints = (
            models.UniqueConstraint(
                fields=("name", "subject"), condition=models.Q(cleared_at=None), name="alert_raised_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.subject}".strip()


class AlertNotice(models.Model):
    """Something that people are told of an alert, over one channel."""

    id = models.UUIDField(primary_key=True)
    # Not enforced: notices are written together with their alert, and deleted before it.
    alert = models.ForeignKey(AlertRecord, on_delete=models.DO_NOTHING, db_constraint=False, related_name="notices")
    channel = models.CharField(max_length=20)
    kind = models.CharField(max_length=10)
    """`raised`, `repeated` or `cleared`."""
    contents = models.JSONField()
    """The alert as it was then."""
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    """When it was given up."""
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("created_at", "id")
        indexes = (
            models.Index(
                fields=["channel", "next_attempt_at"],
                condition=models.Q(sent_at=None, failed_at=None),
                name="alert_notice_due",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} by {self.channel}"


class AlertSilence(models.Model):
    """Nobody is told of these alerts for a while, because a person said so."""

    name = models.CharField(max_length=60)
    subject = models.CharField(max_length=120, blank=True)
    """Empty for all subjects of this name."""
    until = models.DateTimeField()
    who = models.CharField(max_length=150)
    reason = models.CharField(max_length=500)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-id",)
        verbose_name = "silence"
        indexes = (models.Index(fields=["until"], name="alert_silence_until"),)

    def __str__(self) -> str:
        return f"{self.name} {self.subject}".strip()


class AlertEvaluation(models.Model):
    """Who evaluated the alerts last, and when; one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    by = models.CharField(max_length=200)
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.by}, {self.at}"
