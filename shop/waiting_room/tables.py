"""The table of waiting rooms: what must outlive Redis."""

from django.db import models


class WaitingMode(models.TextChoices):
    """Whether a sale has a waiting room."""

    OFF = "off", "No waiting room"
    ON = "on", "Always, from the sale's start"
    AUTO = "auto", "When more people want a copy than there are"


class WaitingRoom(models.Model):
    """The waiting room of a sale: its draw, and whether staff have paused it. Who waits is in Redis."""

    sale = models.OneToOneField("shop.FlashSale", on_delete=models.CASCADE, primary_key=True, related_name="room")
    seed = models.CharField(max_length=64)
    """32 random bytes in hex; a secret until the sale starts. Its SHA-256 is shown from the beginning."""
    first_place_at = models.DateTimeField(null=True, blank=True)
    """When somebody got a place; if Redis knows of none after that, it has lost them."""
    drawn = models.JSONField(null=True, blank=True)
    """The places that were drawn, in the sequence of the draw; None before the first look after the start."""
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    paused_because = models.CharField(max_length=500, blank=True, default="", db_default="")

    def __str__(self) -> str:
        return f"waiting room of sale {self.sale_id}"
