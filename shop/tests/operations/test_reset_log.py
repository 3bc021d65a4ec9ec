"""Resets of offsets in the activity log (E12)."""

import pytest
from django.db import transaction

from kafka_bridge.consuming import registry
from kafka_bridge.replaying import offset_resets
from kafka_bridge.replaying.offsets import LogRange, OffsetMove
from shop.models import AuditEntry

pytestmark = [pytest.mark.django_db, pytest.mark.operations]


def test_a_reset_is_in_the_log_with_where_it_was() -> None:
    move = OffsetMove(log_range=LogRange(topic="orders.events", partition=1, start=0, end=2), now=2, then=1)
    shown = offset_resets.ResetPreview(
        group=registry.find("inventory"), topic="orders.events", moves=[move], obstacle=""
    )
    act = offset_resets.OffsetReset(preview=shown, who="ann", reason="a lost mail")
    with transaction.atomic():
        offset_resets.noted.send(offset_resets.OffsetReset, act=act)
    [entry] = AuditEntry.objects.filter(what="offsets reset")
    assert (entry.who, entry.subject, entry.reason) == ("ann", "inventory in orders.events", "a lost mail")
    assert (entry.before, entry.after) == ({"1": 2}, {"1": 1})
