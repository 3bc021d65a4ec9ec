"""The promises themselves, in the sequence in which they are tried."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction

from kafka_bridge.contract import victim
from kafka_bridge.contract.stage import Stage
from kafka_bridge.dead_letters import redrive_sender, redriving
from kafka_bridge.models import DeadLetter
from kafka_bridge.publishing import outbox
from kafka_bridge.testing.memory import wait_until
from kafka_bridge.testing.running import consuming


@dataclass(frozen=True)
class Promise:
    """One thing the bridge promises, and how it is tried."""

    name: str
    """A sentence."""
    hold: Callable[[Stage], None]
    """Raises whatever it is that was not kept."""


def outbox_is_atomic(stage: Stage) -> None:
    """A rolled back transaction leaves no event; a committed one leaves all; outside of one nothing can be stated."""
    try:
        with transaction.atomic():
            outbox.publish(stage.words.stated(subject="atomic", number=0))
            raise InterruptedError
    except InterruptedError:
        _expect(stage.rows("atomic") == 0, "an event outlived the transaction that stated it")
    stage.state("atomic", 0, 1)
    _expect(stage.rows("atomic") == 2, "events of a committed transaction are missing")
    try:
        outbox.publish(stage.words.stated(subject="atomic", number=2))
    except transaction.TransactionManagementError:
        pass
    else:
        raise AssertionError("an event could be stated outside of a transaction")
    stage.wait_for_effects("atomic", [0, 1])


def order_is_kept_per_key(stage: Stage) -> None:
    """Events of one key are handled in the sequence in which they were stated, whatever other keys do."""
    subjects = [f"order-{letter}" for letter in "abcde"]
    for start in range(0, 20, 4):
        for subject in subjects:
            stage.state(subject, *range(start, start + 4))
    for subject in subjects:
        stage.wait_for_effects(subject, list(range(20)))


def duplicates_are_harmless(stage: Stage) -> None:
    """An event that is delivered again changes nothing."""
    stage.state("twice", 0, 1, 2)
    stage.wait_for_effects("twice", [0, 1, 2])
    _expect(stage.send_once_more("twice") == 3, "not every event was sent again")
    stage.wait_until_read()
    stage.wait_for_effects("twice", [0, 1, 2])


def retries_are_in_order(stage: Stage) -> None:
    """A failing event holds back those of its key, other keys pass, and afterwards they follow in sequence."""
    stage.failing.add("held")
    try:
        stage.state("held", 0, 1, 2)
        stage.state("passes", 0)
        stage.wait_for_effects("passes", [0])
        wait_until(lambda: stage.parked("held"), what="the failing event to be parked", timeout_seconds=30)
        _expect(stage.effects("held") == [], "an event overtook the failing one of its key")
    finally:
        stage.failing.discard("held")
    stage.wait_for_effects("held", [0, 1, 2])
    wait_until(lambda: not stage.parked("held"), what="nothing to be parked any more", timeout_seconds=30)


def dead_letters_can_be_redriven(stage: Stage) -> None:
    """What fails for good becomes a dead letter that says why; sent again it is handled, and its followers after it."""
    stage.failing.add("dies")
    try:
        stage.state("dies", 0, 1)
        wait_until(
            lambda: stage.store_dead_letters() or stage.letters().exists(), what="a dead letter", timeout_seconds=60
        )
    finally:
        stage.failing.discard("dies")
    letter = stage.letters().get()
    _expect("is told to fail" in letter.error, f"the letter does not say why it died: {letter.error!r}")
    _expect(stage.effects("dies") == [], "an event passed the dead one of its key")
    outcome = redriving.redrive(stage.letters(), by="contract", reason="to see that it is handled")
    _expect(outcome.done == [letter.pk], f"the letter was left alone: {outcome.left}")
    redrive_sender.send_due()
    stage.wait_for_effects("dies", [0, 1])
    _expect(stage.letters().get().state == DeadLetter.State.RESOLVED, "the letter is not resolved")


def a_killed_consumer_resumes(stage: Stage) -> None:
    """A consumer killed in the middle of a transaction leaves nothing half done; the next one does all of it, once."""
    group = stage.words.groups["killed"].name
    stage.state("killed", *range(6))
    child = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "-m", victim.__name__, stage.words.run],
        env={**os.environ, **victim.environment()},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = child.stdout.readline().strip() if child.stdout else ""
        _expect(line == victim.IN_THE_MIDDLE, f"the consumer did not get to its transaction: {line!r}")
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    _expect(stage.effects("killed", group="killed") == [], "a killed consumer left effects of a transaction behind")
    with consuming(group):
        stage.wait_for_effects("killed", list(range(6)), group="killed")


PROMISES = [
    Promise("events and their cause commit together", outbox_is_atomic),
    Promise("the order of a key is kept", order_is_kept_per_key),
    Promise("duplicates are harmless", duplicates_are_harmless),
    Promise("retries keep the order of their key", retries_are_in_order),
    Promise("dead letters can be sent again", dead_letters_can_be_redriven),
    Promise("a killed consumer resumes", a_killed_consumer_resumes),
]


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise AssertionError(otherwise)
