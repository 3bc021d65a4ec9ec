"""The waiting list of the books that are sold out."""

from django.db import models
from django.db.models.functions import Now


class WaitlistEntry(models.Model):
    """One person's wish to hear that a book is back, and the copy that was kept for them."""

    class State(models.TextChoices):
        """How far it is."""

        ASKED = "asked", "Address not confirmed"
        WAITING = "waiting", "Waiting"
        TOLD = "told", "Told, a copy is kept"
        OVER = "over", "Over"
        STOPPED = "stopped", "Stopped by the buyer"

    class Mail(models.TextChoices):
        """Which mail is owed."""

        NONE = "", "None"
        CONFIRM = "confirm", "Please confirm"
        BACK = "back", "It is back"

    OPEN = (State.ASKED, State.WAITING, State.TOLD)

    sku = models.CharField(max_length=20)
    email = models.EmailField()
    contact = models.CharField(max_length=32)
    """The mail address as a pseudonym, in one spelling."""
    state = models.CharField(max_length=10, choices=State.choices, default=State.ASKED)
    asked_at = models.DateTimeField(db_default=Now())
    confirmed_at = models.DateTimeField(null=True, blank=True)
    """When its place in the queue was taken."""
    told_at = models.DateTimeField(null=True, blank=True)
    held_until = models.DateTimeField(null=True, blank=True)
    """Until when the copy is kept, from when the mail has left."""
    ended_at = models.DateTimeField(null=True, blank=True)
    mail = models.CharField(max_length=10, choices=Mail.choices, blank=True, default=Mail.CONFIRM)
    mail_due_at = models.DateTimeField(db_default=Now())
    """When it is tried next; while it is being sent: when another process may."""
    mail_attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name = "waiting buyer"
        verbose_name_plural = "waiting buyers"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["sku", "contact"],
                name="waitlist_once",
                condition=models.Q(state__in=["asked", "waiting", "told"]),
            ),
        )
        indexes = (
            models.Index(
                fields=["sku", "confirmed_at", "id"], name="waitlist_next", condition=models.Q(state="waiting")
            ),
            models.Index(fields=["held_until"], name="waitlist_kept", condition=models.Q(state="told")),
            models.Index(fields=["mail_due_at"], name="waitlist_mail", condition=~models.Q(mail="")),
            models.Index(fields=["ended_at"], name="waitlist_ended", condition=models.Q(ended_at__isnull=False)),
        )

    def __str__(self) -> str:
        return f"{self.sku}: {self.get_state_display()}"
