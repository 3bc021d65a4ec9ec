"""`run_consumer --instances N`: members killed, stopped, frozen and left behind, under load on a real broker.

What the figures of analytics are is held against the log in the end: they are right only if each message counted once.
"""

import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from devtools.testing.bridge.bridge_events import delivered
from devtools.testing.bridge.group_members import wait_for_members
from devtools.testing.bridge.kafka_logs import put_all, told
from devtools.testing.bridge.manage_processes import children, environment_of, process
from kafka_bridge import testing
from kafka_bridge.consuming import consumer_groups
from kafka_bridge.models import InboxRow
from kafka_bridge.monitoring.groups import lag
from kafka_bridge.replaying import offsets
from kafka_bridge.runtime import clients, supervision

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.usefixtures("kafka"),
]
GROUP = "analytics"
INSTANCES = 3
NEVER = threading.Event()


@contextmanager
def instances(bridge: Any, **more: str) -> Iterator[Any]:
    """The parent of three members."""
    environment = environment_of(bridge) | more
    with process("run_consumer", GROUP, "--instances", str(INSTANCES), environment=environment) as parent:
        yield parent


@contextmanager
def facts_coming_in() -> Iterator[list[int]]:
    """All the time, over three partitions; the list has how many there were each time. They stop on leaving."""
    stop, sent = threading.Event(), list[int]()

    def come_in() -> None:
        while not stop.is_set():
            put_all([(delivered(), number % 3, datetime.now(UTC)) for number in range(150)])
            sent.append(150)
            stop.wait(0.15)

    thread = threading.Thread(target=come_in)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join(60)
        connection.close()


def had() -> int:
    """How many facts the group has had."""
    return InboxRow.objects.filter(group=GROUP).count()


def wait_until_had(number: int) -> None:
    """Wait until the group has had so many; where that takes too long, say who has what."""
    try:
        testing.wait_until(lambda: had() >= number, what=f"{number} handled", timeout_seconds=240)
    except TimeoutError as error:
        raise TimeoutError(f"{error}, had {had()}: {[row for row in lag.read_lag([GROUP]) if row.messages]}") from error


def committed() -> int:
    """The sum of the group's committed offsets."""
    names = [clients.topic_name(topic.name) for topic in consumer_groups.find(GROUP).topics]
    return sum(offsets.committed_offsets(GROUP, [(name, number) for name in names for number in range(3)]).values())


def sums(said: str) -> tuple[int, int]:
    """How many messages the members have handled, and how many they had seen before, by their last words."""
    found = re.findall(rf"^{GROUP}: stopped; (\d+) handled, (\d+) seen before", said, re.MULTILINE)
    return sum(int(handled) for handled, _ in found), sum(int(again) for _, again in found)


def assert_figures_are_those_of_the_log(number: int) -> None:
    """Each fact counted once."""
    shadow = told("replay_events", "--group", GROUP, "--shadow")
    assert (shadow["heard"], shadow["differences"]) == (number, [])


def stop(parent: Any) -> str:
    """SIGTERM, and a clean end; what all of them have said."""
    parent.terminate()
    _, said = parent.communicate(timeout=60)
    assert parent.returncode == 0, said
    return str(said)


@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.prove(long=True))])
def test_members_are_killed_again_and_again(settings: Any, request: pytest.FixtureRequest, kills: int) -> None:
    """FAILURES 15: SIGKILL at any moment; nothing is lost or doubled. `--seeds N`: so often."""
    kills = request.config.getoption("--seeds") or kills
    chance = random.Random(2)  # noqa: S311 - any sequence will do
    with instances(settings.KAFKA_BRIDGE) as parent:
        with facts_coming_in() as sent:
            for _ in range(kills):
                before = had()
                wait_until_had(before + 300)
                time.sleep(chance.uniform(0, 0.5))  # at any moment of a batch
                os.kill(chance.choice(children(parent.pid)), signal.SIGKILL)
        wait_until_had(sum(sent))
        testing.wait_until(lambda: committed() == sum(sent), what="offsets as far as that", timeout_seconds=60)
        testing.wait_until(lambda: len(children(parent.pid)) == INSTANCES, what="all members", timeout_seconds=60)
        said = stop(parent)
    assert said.count("starting it again in") >= kills
    print(f"{sum(sent)} sent; by those who lived on: %d handled, %d seen before" % sums(said))
    assert had() == sum(sent)
    assert_figures_are_those_of_the_log(sum(sent))


@pytest.mark.prove(long=True)
def test_members_are_killed_between_the_two_commits(kafka: Any, settings: Any) -> None:
    """FAILURES 2: without a broker no offset is heard while they go on with what they have fetched; then all die."""
    put_all([(delivered(), number % 3, datetime.now(UTC)) for number in range(15_000)])
    with instances(settings.KAFKA_BRIDGE) as parent:
        deadline = time.monotonic() + 60
        while had() < 500:  # looked at as often as can be: while most of it is fetched and not handled yet
            assert time.monotonic() < deadline
        kafka.kill()
        before = had()
        wait_until_had(before + 500)
        for pid in children(parent.pid):
            os.kill(pid, signal.SIGKILL)
        kafka.start()
        wait_until_had(15_000)
        testing.wait_until(lambda: committed() == 15_000, what="offsets as far as that", timeout_seconds=60)
        said = stop(parent)
    handled, again = sums(said)
    print(f"{handled} handled by those who came after, {again} seen before")
    assert again >= 500
    assert had() == 15_000
    assert_figures_are_those_of_the_log(15_000)


def test_told_to_stop_at_work_they_finish_commit_and_leave(settings: Any) -> None:
    """FAILURES 15: what is handled is committed, nobody is in the group any more, and nothing comes again."""
    with facts_coming_in() as sent:
        with instances(settings.KAFKA_BRIDGE) as parent:
            wait_until_had(1500)
            said = stop(parent)
        assert (offsets.members_of(GROUP), offsets.members_of(f"{GROUP}.retry")) == ([], [])
        handled, again = sums(said)
        assert (handled, again, committed()) == (had(), 0, had())
        assert said.count(": stopped; ") == INSTANCES
    with instances(settings.KAFKA_BRIDGE) as parent:
        wait_until_had(sum(sent))
        said = stop(parent)
    assert sums(said) == (sum(sent) - handled, 0)
    assert_figures_are_those_of_the_log(sum(sent))


def test_members_whose_parent_is_killed_stop_by_themselves(settings: Any) -> None:
    """They would live on beside those that the next parent starts, and nobody would stop them."""
    with facts_coming_in() as sent:
        with instances(settings.KAFKA_BRIDGE) as parent:
            wait_until_had(1500)
            members = children(parent.pid)
            parent.kill()
            try:
                wait_until_gone(members)
            finally:
                for pid in filter(is_alive, members):
                    os.kill(pid, signal.SIGKILL)
            _, said = parent.communicate(timeout=20)
        assert offsets.members_of(GROUP) == []
        assert said.count("the parent process is gone") == len(members) == INSTANCES
        assert (sums(said), committed()) == ((had(), 0), had())
    with instances(settings.KAFKA_BRIDGE) as parent:
        wait_until_had(sum(sent))
        assert sums(stop(parent))[1] == 0
    assert_figures_are_those_of_the_log(sum(sent))


def wait_until_gone(pids: list[int]) -> None:
    """Wait until none of these processes is there; zombies are not."""
    testing.wait_until(lambda: not any(map(is_alive, pids)), what=f"the end of {pids}", timeout_seconds=60)


def is_alive(pid: int) -> bool:
    """Whether the process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.prove
def test_one_that_is_frozen_is_ended_by_force_and_said_so(settings: Any) -> None:
    """The others end as always; exit code 1."""
    with instances(settings.KAFKA_BRIDGE) as parent:
        wait_for_members(GROUP, INSTANCES)
        members = children(parent.pid)
        os.kill(members[0], signal.SIGSTOP)
        parent.terminate()
        _, said = parent.communicate(timeout=60)
    assert (parent.returncode, [pid for pid in members if is_alive(pid)]) == (1, []), said
    assert "1 consumers did not stop in time and were killed" in said
    assert said.count(": stopped; ") == INSTANCES - 1


@pytest.mark.prove
def test_members_that_fail_at_once_are_started_ever_more_seldom(settings: Any) -> None:
    """And SIGTERM is heard while none of them is there; exit code 0."""
    with instances(settings.KAFKA_BRIDGE, KAFKA_GROUP_PROTOCOL="nonsense") as parent:
        words = read_until(parent, lambda said: said.count("starting it again in 4 s") == INSTANCES)
        testing.wait_until(lambda: children(parent.pid) == [], what="the pause")
        rest = stop(parent)
    pauses = [int(seconds) for seconds in re.findall(rf"{GROUP}-1 ended .*; starting it again in (\d+) s", words)]
    # The first may be at its fourth pause before the last of them says the third.
    assert pauses[:3] == [1, 2, 4]
    assert pauses[3:] in ([], [8])
    assert "stopped for good" not in rest


def read_until(parent: Any, is_enough: Callable[[str], bool]) -> str:
    """Read what it says, until that is enough."""
    said, deadline = "", time.monotonic() + 120
    while not is_enough(said):
        assert time.monotonic() < deadline, said
        said += parent.stderr.readline()
    return said


def test_children_are_stopped_when_their_supervisor_fails() -> None:
    """The second one cannot be started at all; the first one is not left alone."""
    before = set(children(os.getpid()))
    with pytest.raises(ValueError, match="null byte"):
        supervision.supervise({"one": ["shell", "--command", "import time; time.sleep(60)"], "two": ["\0"]}, NEVER)
    assert [pid for pid in children(os.getpid()) if pid not in before and is_alive(pid)] == []


def test_supervision_does_not_start_a_group_again_that_stopped_itself(caplog: pytest.LogCaptureFixture) -> None:
    """The others go on; when none is left, it ends."""
    quitting = ["shell", "--command", "raise SystemExit(4)"]
    outcome = supervision.supervise({"one": quitting, "two": quitting}, threading.Event())
    assert outcome == supervision.ExitOutcome(killed=0, given_up=["one", "two"])
    assert caplog.text.count("is not started again: a person must look") == 2
