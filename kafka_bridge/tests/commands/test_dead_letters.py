"""`manage.py dead_letters`: what it prints, what it does and refuses, and its exit codes."""

import io
import json
import logging
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from devtools.testing.bridge.bridge_events import cancelled
from devtools.testing.bridge.dead_letters import a_letter, age, parked
from kafka_bridge import jobs
from kafka_bridge.dead_letters import redrive_sender
from kafka_bridge.management.commands import dead_letters as command
from kafka_bridge.models import DeadLetter, DeadLetterAct
from kafka_bridge.monitoring.alarms import Alarm

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]
State = DeadLetter.State


def run(*arguments: str) -> tuple[int, str]:
    """Exit code, and what it wrote to standard output (or said as it failed)."""
    out = io.StringIO()
    try:
        call_command("dead_letters", *arguments, stdout=out, stderr=io.StringIO())
    except CommandError as error:
        return error.returncode, out.getvalue() or str(error)
    return 0, out.getvalue()


def as_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json")[1])


def test_letters_are_listed_oldest_first_by_filters() -> None:
    first, second, third = a_letter(), a_letter(cancelled(), error="KeyError: 'tax'"), a_letter(group="orders")
    age(first, hours=3)
    DeadLetter.objects.filter(pk=third.pk).update(state=State.RESOLVED)
    assert [row["id"] for row in as_json("list")["letters"]] == [first.pk, second.pk, third.pk]
    for arguments, expected in (
        (["--group", "orders"], [third.pk]),
        (["--event", "order.cancelled"], [second.pk]),
        (["--error", "tax"], [second.pk]),
        (["--error", second.fingerprint], [second.pk]),
        (["--state", "resolved"], [third.pk]),
        (["--older-than", "2h", "--group", "notifications", "--event", "order.created"], [first.pk]),
        (["--limit", "1"], [first.pk]),
    ):
        assert [row["id"] for row in as_json("list", *arguments)["letters"]] == expected, arguments
    words = run("list")[1]
    assert "Dead letters: 3" in words
    assert "parked" in words


def test_kinds_are_listed_with_their_numbers() -> None:
    for number in range(3):
        a_letter(error=f"ValueError: {number}")
    [kind] = as_json("list", "--kinds")["kinds"]
    assert (kind["count"], kind["groups"], kind["error"]) == (3, ["notifications"], "ValueError: 2")
    assert kind["kind"] in run("list", "--kinds")[1]


def test_one_is_shown_with_all_about_it() -> None:
    event = cancelled()
    letter = a_letter(event)
    parked(letter, cancelled(event.order_id))
    facts = as_json("show", str(letter.pk))
    assert (facts["state"], facts["waiting_behind"], facts["traceback"]) == ("parked", 1, "Traceback: here")
    assert json.loads(facts["value"])["reason"] == "test"
    assert facts["headers"]["ce_type"] == "order.cancelled"
    assert "would change nothing" in facts["dry_run"]
    assert "Traceback: here" in run("show", str(letter.pk))[1]
    assert run("show", "999999") == (command.NOT_ALL, "There is no dead letter 999999.")


def test_discarding_is_done_and_noted() -> None:
    letter = a_letter()
    code, _ = run("discard", str(letter.pk), "--reason", "noise", "--by", "ada")
    assert code == 0
    assert list(DeadLetterAct.objects.values_list("who", "what", "reason")) == [("ada", "discarded", "noise")]
    code, words = run("discard", str(letter.pk), "--reason", "noise", "--by", "ada")
    assert (code, "left alone, discarded already" in words) == (command.NOT_ALL, True)


@pytest.mark.parametrize("verb", ["redrive", "discard"])
def test_a_dry_run_does_nothing(verb: str) -> None:
    a_letter()
    facts = as_json(verb, "--all", "--dry-run")
    assert (facts["dry_run"], [row["possible"] for row in facts["letters"]]) == (True, [True])
    assert "nothing was done" in run(verb, "--all", "--dry-run")[1]
    assert (DeadLetter.objects.get().state, DeadLetterAct.objects.count()) == (State.PARKED, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["redrive", "--reason", "r"], "or say --all, and not both"),
        (["redrive", "--all", "--group", "orders", "--reason", "r"], "or say --all, and not both"),
        (["redrive", "--all"], "Say why, with --reason"),
        (["discard", "--all", "--reason", " "], "Say why, with --reason"),
        (["redrive", "--all", "--reason", "r", "--rate", "0"], "The pace is a number"),
        (["redrive", "--all", "--reason", "r", "--limit", "0"], "--limit takes a number"),
        (["list", "--older-than", "soon"], "--older-than takes an age"),
    ],
)
def test_a_wrong_option_is_refused_in_words(arguments: list[str], words: str) -> None:
    a_letter()
    code, said = run(*arguments)
    assert (code, words in said) == (command.BAD_OPTIONS, True), said
    assert DeadLetter.objects.get().state == State.PARKED


def test_nothing_to_do_is_told_by_the_exit_code() -> None:
    assert run("redrive", "--all", "--reason", "r", "--by", "ada")[0] == command.NOT_ALL
    assert run("list") == (0, "No dead letters.\n")


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_a_redrive_brings_every_copy_to_kafka_before_it_ends() -> None:
    """Also where the group `dead_letters` does not run."""
    letters = [a_letter(group="inventory" if number % 2 else "notifications") for number in range(6)]
    code, _ = run("redrive", "--all", "--limit", "4", "--reason", "mended", "--by", "ada", "--rate", "100")
    assert code == 0
    states = list(DeadLetter.objects.order_by("id").values_list("state", "send_at"))
    assert states == [(State.REDRIVEN, None)] * 4 + [(State.PARKED, None)] * 2
    assert redrive_sender.unsent([letter.pk for letter in letters]) == 0


def test_the_alarm_is_raised_once_and_cleared_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jobs, "PARKED_TOO_MANY", 2)
    monkeypatch.setattr(jobs, "_too_many_letters", Alarm(over="that is over"))
    caplog.set_level(logging.INFO, logger="kafka_bridge.monitoring.alarms")
    for _ in range(3):
        a_letter()
        jobs.watch_dead_letters()
    jobs.watch_dead_letters()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    DeadLetter.objects.update(state=State.DISCARDED)
    jobs.watch_dead_letters()
    jobs.watch_dead_letters()
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
