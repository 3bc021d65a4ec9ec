"""XB6: each role does its work on brokers that ask who it is, and every other act is refused."""

import dataclasses
import json
import threading
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from io import StringIO
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from django.core.management import CommandError, call_command

from devtools.testing.bridge.manage_processes import environment_of, process
from kafka_bridge.access import acls, roles
from kafka_bridge.consuming import registry
from kafka_bridge.consuming.consumer_process import ConsumerProcess
from kafka_bridge.models import OutboxRow
from kafka_bridge.monitoring.groups import lag
from kafka_bridge.monitoring.log_tail import LogTail
from kafka_bridge.publishing import relay
from kafka_bridge.runtime import access_errors, clients, topics, waiting
from kafka_bridge.runtime.coordinators.asking import Coordinators
from kafka_bridge.wire import event_types

AsRole = Callable[..., AbstractContextManager[None]]
pytestmark = [pytest.mark.kafka, pytest.mark.security, pytest.mark.together]
FORBIDDEN_TOPIC = KafkaError.TOPIC_AUTHORIZATION_FAILED
FORBIDDEN_GROUP = KafkaError.GROUP_AUTHORIZATION_FAILED


def changes(*arguments: str) -> Any:
    """What `create_acls` says it did."""
    out = StringIO()
    call_command("create_acls", "--json", *arguments, stdout=out)
    return json.loads(out.getvalue())


def written(names: Iterable[str]) -> dict[str, int | None]:
    """By topic, the code of the error with which a message is refused; None where the brokers take it."""
    found: dict[str, int | None] = {}

    def note(name: str, error: KafkaError | None, _: Message) -> None:
        found[name] = None if error is None else error.code()

    # Not idempotent: to whoever may write nothing at all the brokers refuse that first, and for good.
    producer = Producer(clients.common() | {"log_level": 0})
    for name in names:
        producer.produce(clients.topic_name(name), key=b"k", value=b"{}", on_delivery=partial(note, name))
    assert producer.flush(30) == 0
    return found


def read(names: Iterable[str]) -> dict[str, int | None]:
    """By topic, the code of the error with which reading is refused; None where it is allowed."""
    full = {clients.topic_name(name): name for name in names}
    # What may not be described is kept secret, and a client waits for it for ever.
    visible = full.keys() & clients.admin().list_topics(timeout=20).topics.keys()
    found: dict[str, int | None] = dict.fromkeys(full.keys() - visible, FORBIDDEN_TOPIC)
    options = {"group.id": uuid.uuid4().hex, "enable.partition.eof": True, "log_level": 0}
    reader = Consumer(clients.common() | options)
    reader.assign([TopicPartition(name, 0, 0) for name in visible])
    try:
        while full.keys() - found.keys():
            message = reader.poll(20)
            assert message is not None, f"no answer about {full.keys() - found.keys()}"
            error = message.error()
            if message.topic() in full and (error is None or error.code() != FORBIDDEN_GROUP):
                refused = error is not None and error.code() == FORBIDDEN_TOPIC
                found[str(message.topic())] = FORBIDDEN_TOPIC if refused else None
    finally:
        reader.close()
    return {full[name]: code for name, code in found.items()}


def seen(group: str) -> int | None:
    """The code of the error with which a group's members are kept secret; None where they are told."""
    try:
        with Coordinators() as coordinators:
            coordinators.describe([group], within_seconds=20)
    except KafkaException as error:
        return int(error.args[0].code())
    return None


def commit(group: str, topic: str) -> int | None:
    """The code of the error with which a group's offset is refused; None where it is taken."""
    place = [TopicPartition(clients.topic_name(topic), 0, 0)]
    member = Consumer(clients.common() | {"group.id": clients.conf().group_prefix + group, "log_level": 0})
    try:
        done = member.commit(offsets=place, asynchronous=False)
    except KafkaException as error:
        return int(error.args[0].code())
    finally:
        member.close()
    assert done is not None
    return done[0].error.code() if done[0].error else None


def allowed(answers: dict[str, int | None]) -> set[str]:
    return {name for name, code in answers.items() if code is None}


def every_topic() -> list[str]:
    return [topic.name for topic in topics.wanted()]


def test_xb6_a_second_run_changes_nothing(secured: Any) -> None:
    waiting.until(lambda: changes("--dry-run")["missing"] == [], what="brokers know of all", timeout_seconds=60)
    again = changes()
    assert (again["missing"], again["excess"], again["right"]) == ([], [], len(roles.wanted()))


def test_xb6_what_is_too_much_is_shown_and_taken_away_of_its_own_principals_only(secured: Any) -> None:
    too_much = acls.Acl(acls.principal("payments"), "TOPIC", "orders.events", "WRITE")
    gone = acls.Acl(acls.principal("a-role-that-is-no-more"), "TOPIC", "orders.", "READ", pattern="PREFIXED")
    foreign = acls.Acl("User:somebody-else", "TOPIC", "orders.events", "READ")
    acls.create([too_much, gone, foreign])
    try:
        assert len(changes("--prune", "--dry-run")["excess"]) == 2, "a dry run takes nothing away"
        with pytest.raises(CommandError, match="2 rights are too many; --prune"):
            changes()
        assert [each["principal"] for each in changes("--prune")["excess"]] == [gone.principal, too_much.principal]
        assert changes()["excess"] == []
        assert foreign in acls._present(clients.admin())
    finally:
        acls.delete([foreign])


def test_xb6_what_is_missing_is_shown_and_added(secured: Any) -> None:
    lost = acls.Acl(acls.principal("relay"), "TOPIC", "orders.events", "WRITE")
    acls.delete([lost])
    assert [each["principal"] for each in changes("--dry-run")["missing"]] == [lost.principal]
    assert len(changes()["missing"]) == 1
    assert changes()["missing"] == []


def test_xb6_a_role_may_not_give_itself_rights(as_role: AsRole) -> None:
    with as_role("payments"), pytest.raises(CommandError, match="refuse house_payments a right"):
        changes()


def test_xb6_only_the_relay_states_facts_and_it_reads_none(as_role: AsRole) -> None:
    facts = [topic.name for topic in event_types.topics() if not topic.written_by]
    with as_role("relay"):
        assert written(facts) == dict.fromkeys(facts)
        assert read(facts) == dict.fromkeys(facts, FORBIDDEN_TOPIC)
    for role in [*(group.name for group in registry.groups()), "dead_letters", "timekeeper", "operator", "web"]:
        with as_role(role):
            assert written(facts) == dict.fromkeys(facts, FORBIDDEN_TOPIC), role


def test_xb6_a_topic_of_facts_that_may_be_lost_has_one_writer_and_the_relay_is_not_it(as_role: AsRole) -> None:
    lossy = {topic.name: topic.written_by for topic in event_types.topics() if topic.written_by}
    assert lossy == {"shop.activity": "web"}
    for role in [
        "web",
        "relay",
        "dead_letters",
        "timekeeper",
        "operator",
        *(group.name for group in registry.groups()),
    ]:
        with as_role(role):
            assert written(list(lossy)) == {
                topic: None if role == writer else FORBIDDEN_TOPIC for topic, writer in lossy.items()
            }, role


@pytest.mark.parametrize("name", [group.name for group in registry.groups()])
def test_xb6_a_group_reads_and_writes_what_it_handles_and_nothing_else(name: str, as_role: AsRole) -> None:
    heard = {topic.name for topic in registry.find(name).topics}
    retried = {topics.retry_topic_name(topic, name) for topic in heard}
    given_up = {topics.dead_letter_topic_name(topic, name) for topic in heard}
    others = next(group for group in registry.groups() if group.name != name)
    with as_role(name):
        readable = allowed(read(every_topic()))
        writable = allowed(written(every_topic()))
        assert commit(name, min(heard)) is None
        assert commit(topics.retry_group_name(name), min(retried)) is None
        assert seen(others.name) == FORBIDDEN_GROUP
    assert (readable, writable) == (heard | retried, retried | given_up)


@pytest.mark.window
def test_xb6_who_observes_reads_the_last_messages_without_a_right_to_any_group(as_role: AsRole) -> None:
    tail, place = LogTail(kept=1), (clients.topic_name("payments.events"), 0)
    with as_role("relay"):
        producer = clients.producer(linger_ms=0)
        producer.produce(place[0], key=b"k", value=b"to be seen", partition=0)
        assert producer.flush(30) == 0
    with as_role("timekeeper"):
        try:
            tail.follow({place: (0, 1)})
            waiting.until(lambda: tail.poll(0.2) or tail.entries()[place], what="the message", timeout_seconds=60)
        finally:
            tail.close()


def test_xb6_the_timekeeper_sees_how_far_all_groups_are_behind_and_moves_none(as_role: AsRole) -> None:
    with as_role("relay"):
        written(["orders.events"])
    with as_role("timekeeper"):
        rows = lag.read_lag()
        assert {row.group for row in rows} >= {group.name for group in registry.groups()}
        assert any(row.seconds is not None for row in rows)
        assert set(written(every_topic()).values()) == {FORBIDDEN_TOPIC}


def test_xb6_an_operator_sees_topics_and_moves_groups_but_makes_no_topic(as_role: AsRole) -> None:
    with as_role("operator"):
        call_command("create_topics", "--dry-run", "--json", stdout=StringIO())
        assert commit("shipping", "orders.events") is None
        with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
            topics.apply([dataclasses.replace(topics.plan()[0], name="another", action="create")])


def test_xb6_a_web_server_sees_which_brokers_there_are_and_the_topic_that_it_writes(as_role: AsRole) -> None:
    own = [clients.topic_name(topic.name) for topic in event_types.topics() if topic.written_by == "web"]
    with as_role("web"):
        assert clients.broker_count() == 1
        assert list(clients.admin().list_topics(timeout=10).topics) == own


def test_xb6_without_an_authorizer_it_is_said_that_everybody_may_do_everything(kafka: Any) -> None:
    with pytest.raises(CommandError, match="have no authorizer, so everybody may do everything"):
        changes()


@pytest.mark.parametrize(
    ("role", "group", "password", "words"),
    [
        ("payments", "payments", "wrong", "do not let house_payments in"),
        ("payments", "orders", None, "refuse house_payments a right it needs"),
        ("web", "orders", None, "refuse house_web a right it needs"),
    ],
)
@pytest.mark.usefixtures("transactional_db")
def test_xb6_a_consumer_that_is_refused_says_what_to_do(
    role: str, group: str, password: str | None, words: str, as_role: AsRole
) -> None:
    member = ConsumerProcess(registry.find(group), threading.Event())
    with as_role(role, password=password), pytest.raises(access_errors.AccessRefused, match=words):
        member.run()


@pytest.mark.usefixtures("transactional_db")
def test_xb6_a_process_that_is_refused_ends_with_a_code_of_its_own(as_role: AsRole, settings: Any) -> None:
    with as_role("payments"):
        environment = environment_of(settings.KAFKA_BRIDGE)
    with process("run_consumer", "orders", environment=environment) as refused:
        _, said = refused.communicate(timeout=60)
    assert (refused.returncode, "`manage.py create_acls --dry-run` shows what is missing" in said) == (5, True), said


@pytest.mark.usefixtures("transactional_db")
def test_xb6_a_relay_with_a_wrong_password_says_so_and_ends(as_role: AsRole) -> None:
    OutboxRow.objects.create(
        event_id=uuid.uuid4(),
        topic="orders.events",
        key="k",
        type="order.delivered",
        version=1,
        correlation_id=uuid.uuid4(),
        body=b"{}",
    )
    with as_role("relay", password="wrong"), pytest.raises(access_errors.AccessRefused, match="let house_relay in"):
        relay.run(threading.Event())
    assert OutboxRow.objects.filter(published_at=None).count() == 1
