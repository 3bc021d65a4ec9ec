"""What staff have consumer groups do, in the activity log."""

from django.contrib.auth import get_user_model

from kafka_bridge.consuming.controls import GroupAct
from shop.operations import activity_log

_WHAT = {"paused": "group paused", "resumed": "group resumed", "asked to leave and come back": "member asked to rejoin"}


def record(*, act: GroupAct, **_: object) -> None:
    """Record an act, in its transaction; connected to `kafka_bridge.consuming.controls.noted`."""
    activity_log.record(
        user=get_user_model().objects.filter(username=act.who).first(),
        who=act.who,
        what=_WHAT[act.what],
        subject=act.member_id or act.place,
        reason=act.reason,
        after={"group": act.place.group, "topic": act.place.topic, "partition": act.place.partition},
    )
