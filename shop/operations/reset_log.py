"""Resets of consumer groups' offsets, in the activity log."""

from django.contrib.auth import get_user_model

from kafka_bridge.replaying.offset_resets import OffsetReset
from shop.operations import activity_log


def record(*, act: OffsetReset, **_: object) -> None:
    """Record a reset, in its transaction; connected to `kafka_bridge.replaying.offset_resets.noted`."""
    shown = act.preview
    activity_log.record(
        user=get_user_model().objects.filter(username=act.who).first(),
        who=act.who,
        what="offsets reset",
        subject=f"{shown.group.name} in {shown.topic}",
        reason=act.reason,
        before={str(move.log_range.partition): move.now for move in shown.moves},
        after={str(move.log_range.partition): move.then for move in shown.moves},
    )
