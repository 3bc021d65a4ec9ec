"""Moving a group on a real broker: shown first, refused while it runs, and nothing is skipped by accident."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.kafka_logs import forget, member, put, said, told
from devtools.testing.bridge.replays import PROTOCOLS, TOPIC, consuming, had, use
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.replaying import offset_resets, offsets
from kafka_bridge.runtime import clients

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.usefixtures("kafka"),
]
MakeGroup = Callable[[str], registry.Group]
RESET = ("reset_offsets", "--group", "notifications", "--topic", TOPIC, "--to")


def committed() -> list[int | None]:
    """Of each partition."""
    places = [(clients.topic_name(TOPIC), number) for number in range(3)]
    found = offsets.committed_offsets("notifications", places)
    return [found.get(place) for place in places]


def moves(*arguments: str) -> list[tuple[Any, ...]]:
    """Now, then, read again and skipped, of each partition."""
    return [(p["now"], p["then"], p["again"], p["skipped"]) for p in told(*RESET, *arguments)["partitions"]]


@PROTOCOLS
def test_a_group_goes_back_and_does_nothing_twice(seen: Counter[str], settings: Any, protocol: str) -> None:
    """FAILURES 25, the other way: the offsets are set back, all comes again, the inbox knows it."""
    use(settings, protocol)
    for partition in range(3):
        put(*(created() for _ in range(10)), partition=partition)
    with consuming():
        testing.wait_until(lambda: committed() == [10, 10, 10], what="30 committed")
    assert moves("beginning", "--dry-run") == [(10, 0, 10, 0)] * 3
    assert committed() == [10, 10, 10]
    assert moves("4", "--partition", "1") == [(10, 4, 6, 0)]
    assert committed() == [10, 4, 10]
    put(created(), partition=1)
    with consuming():
        testing.wait_until(lambda: committed() == [10, 11, 10], what="all read again")
    assert (had(), len(seen), set(seen.values())) == (31, 31, {1})


def test_what_would_be_skipped_needs_to_be_meant(seen: Counter[str]) -> None:
    noon = datetime.now(UTC) - timedelta(hours=1)
    for minute in range(6):
        put(created(), at=noon + timedelta(minutes=minute))
    later = (noon + timedelta(minutes=2)).isoformat()
    assert moves(later, "--dry-run") == [(None, 2, 0, 2), (None, 0, 0, 0), (None, 0, 0, 0)]
    code, text = said(*RESET, later)
    assert (code, committed()) == (2, [None, None, None])
    assert "2 messages would never be handled by notifications. Add --skip if that is meant." in text
    assert "none yet" in text
    assert moves(later, "--skip") == [(None, 2, 0, 2), (None, 0, 0, 0), (None, 0, 0, 0)]
    assert committed() == [2, 0, 0]
    with consuming():
        testing.wait_until(lambda: had() == 4, what="the rest")


@PROTOCOLS
def test_a_running_group_is_not_moved(seen: Counter[str], settings: Any, protocol: str) -> None:
    use(settings, protocol)
    put(created())
    with member("notifications", TOPIC):
        code, text = said(*RESET, "end", "--skip")
        assert (code, committed()) == (2, [None, None, None])
        assert "its members would go on from where they are. Stop them first." in text
    code, text = said(*RESET, "end", "--skip")
    assert (code, text.splitlines()[-1]) == (0, "notifications goes on from there when it is started.")
    assert committed() == [1, 0, 0]


def test_a_place_that_is_not_there_is_refused(seen: Counter[str]) -> None:
    put(*(created() for _ in range(5)))
    forget(TOPIC, 0, before=3)
    for place in ("2", "6"):
        code, text = said(*RESET, place, "--partition", "0")
        assert (code, text) == (2, f"orders.events[0] has the offsets 3 to 5, so not {place}")
    assert moves("beginning", "--partition", "0") == [(None, 3, 0, 0)]


def test_a_reset_is_shown_first_and_noted_with_who_and_why(seen: Counter[str]) -> None:
    """E12: as a page does it."""
    for partition in range(3):
        put(created(), created(), partition=partition)
    with consuming():
        testing.wait_until(lambda: committed() == [2, 2, 2], what="6 committed")
        while_running = offset_resets.preview(group="notifications", topic=TOPIC, to="beginning")
        assert "Stop them first" in while_running.obstacle
        with pytest.raises(offsets.InvalidRequest, match="Stop them first"):
            offset_resets.reset(while_running, who="ann", reason="a lost mail")
    shown = offset_resets.preview(group="notifications", topic=TOPIC, partition=1, to="1")
    assert (shown.again, shown.skipped, shown.obstacle) == (1, 0, "")
    with pytest.raises(offsets.InvalidRequest, match="who does it, and why"):
        offset_resets.reset(shown, who="ann", reason=" ")
    noted: list[offset_resets.OffsetReset] = []

    def note(*, act: offset_resets.OffsetReset, **_: object) -> None:
        noted.append(act)

    offset_resets.noted.connect(note)
    offset_resets.reset(shown, who="ann", reason="a lost mail")
    assert committed() == [2, 1, 2]
    assert [(act.preview, act.who, act.reason) for act in noted] == [(shown, "ann", "a lost mail")]
    forward = offset_resets.preview(group="notifications", topic=TOPIC, partition=1, to="end")
    with pytest.raises(offsets.InvalidRequest, match="would never be handled"):
        offset_resets.reset(forward, who="ann", reason="a lost mail")
    assert committed() == [2, 1, 2]
    assert len(noted) == 1
