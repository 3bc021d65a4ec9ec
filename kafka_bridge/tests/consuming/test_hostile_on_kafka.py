"""What a stranger's message does to a consumer of a real broker: it is a dead letter, and those behind it go on."""

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from django.conf import settings as django_settings

from devtools.testing.bridge import manage_processes
from devtools.testing.bridge.bridge_events import created, delivered
from devtools.testing.bridge.group_members import at_work, committed, working
from devtools.testing.bridge.kafka_logs import headers_of, put
from devtools.testing.bridge.raw_producer import RawMessage, put_raw
from devtools.testing.bridge.relays import read_topic, send
from events import catalogue
from events.base import OrderEvent
from kafka_bridge import testing
from kafka_bridge.consuming import consumer_process, registry, unreadable_batches
from kafka_bridge.dead_letters import consumer, letter_store, redrive_preview, redrive_sender, redriving
from kafka_bridge.models import DeadLetter, ParkedMessage
from kafka_bridge.publishing import outbox
from kafka_bridge.replaying import log_reader, offset_ranges, offsets
from kafka_bridge.runtime import clients
from kafka_bridge.wire import envelope, message_headers

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.security,
    pytest.mark.usefixtures("kafka", "quick"),
]
TOPIC = "orders.events"
RETRY, DEAD = "orders.events.notifications.retry", "orders.events.notifications.dlq"


@pytest.fixture
def group(make_group: Callable[[str], registry.Group], monkeypatch: pytest.MonkeyPatch) -> registry.Group:
    """A group in place of notifications, which cannot handle orders that are delivered."""
    monkeypatch.delitem(registry._groups, "notifications")
    group = make_group("notifications")

    @group.on(catalogue.OrderCreated)
    def accept(event: catalogue.OrderCreated) -> None: ...

    @group.on(catalogue.OrderDelivered)
    def refuse(event: catalogue.OrderDelivered) -> None:
        raise ValueError("no")

    return group


@contextmanager
def consumers(group: registry.Group) -> Iterator[consumer_process.ConsumerProcess]:
    """The group with its retries, and what stores dead letters."""
    with ExitStack() as stack:
        reader = consumer.DeadLetterConsumer(threading.Event())
        stack.enter_context(at_work(reader.run, reader.stop))
        yield stack.enter_context(working(group))


def raw(body: bytes | None, *headers: tuple[bytes, bytes], event: OrderEvent | None = None, **how: Any) -> RawMessage:
    """An event (an order.created) with this body; further headers come after its own."""
    event = event or created()
    own = envelope.headers(
        event_id=uuid4(), event_type=event.TYPE, version=1, source="orders", subject=event.key,
        time=datetime.now(UTC), correlation_id=event.order_id, causation_id=None, traceparent="",
    )  # fmt: skip
    return RawMessage(
        topic=TOPIC,
        key=event.key.encode(),
        value=body,
        headers=(*((name.encode(), value) for name, value in own), *headers),
        **how,
    )


def letters(count: int) -> list[DeadLetter]:
    """So many stored letters, oldest first."""
    testing.wait_until(lambda: DeadLetter.objects.count() == count, what=f"{count} letters", timeout_seconds=60)
    return list(DeadLetter.objects.order_by("id"))


def had(count: int) -> None:
    """Wait until the group has handled so many."""
    testing.wait_until(lambda: testing.had_by("notifications") == count, what=f"{count} handled", timeout_seconds=60)


def test_bodies_that_are_nested_too_deep_die_by_themselves(group: registry.Group) -> None:
    """XB1, FAILURES 47: an order.created with arrays in arrays where no schema looks."""
    good = envelope.encode_body(created())
    deep = [good[:-1] + b',"junk":' + b"[" * depth + b"]" * depth + b"}" for depth in (1500, 100_000)]
    assert put_raw([raw(good), *map(raw, deep), raw(None), raw(b"\xff"), raw(good)]) == []
    with consumers(group) as member:
        had(2)
        assert {letter.error.partition(":")[0] for letter in letters(4)} == {"Malformed"}
        testing.wait_until(lambda: committed("notifications") == 6, what="all behind us")
    assert member.dead == 4


def test_a_message_that_was_compressed_from_more_than_a_copy_holds(group: registry.Group) -> None:
    """XB2, FAILURES 48: its letter has the beginning, says what is missing, and is not sent again as it is."""
    zeros, noise = b"\x00" * 5_000_000, os.urandom(1_047_000)
    padded = envelope.encode_body(delivered())[:-1] + b',"junk":"' + b" " * 3_000_000 + b'"}'
    poison = raw(padded, event=delivered(), compression="lz4")
    assert put_raw([raw(zeros, compression="gzip"), raw(noise), poison]) == []
    send(created())
    with consumers(group):
        had(1)
        found = letters(3)
        by_size = {len(letter.value): letter for letter in found}
        whole = by_size[1_047_000]
        assert bytes(whole.value) == noise
        for letter in set(found) - {whole}:
            cut = letter_store.cut_of(letter)
            body = zeros if cut.body_bytes == 5_000_000 else padded
            assert (cut.body_bytes, cut.body_sha256) == (len(body), hashlib.sha256(body).hexdigest())
            assert body.startswith(bytes(letter.value))
            assert len(letter.value) > 1_000_000
            assert f"its body has {len(body):,} bytes" in redrive_preview.dry_run(letter)
        outcome = redriving.redrive(redriving.choose(), by="ada", reason="try")
        assert len(outcome.left) == 2
        testing.wait_until(lambda: committed("notifications") == 4, what="all behind us")


def test_a_batch_that_the_client_cannot_decompress_is_passed_over(group: registry.Group, settings: Any) -> None:
    """FAILURES 48: 118 MB of zeros that zstd made 4 kB of, in the topic, the retries and the dead letters."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, retry_delays_seconds=(0.1,))
    zeros = b"\x00" * 118_000_000
    bombs = [RawMessage(topic=topic, value=zeros, partition=0, compression="zstd") for topic in (TOPIC, RETRY, DEAD)]
    good = envelope.encode_body(created())
    assert put_raw([raw(good, partition=0), *bombs]) == []
    assert put_raw([raw(good, partition=0)]) == []
    with consumers(group):
        had(2)
        [letter] = letters(1)
        testing.wait_until(lambda: committed("notifications") == 3, what="all behind us")
        send(delivered())
        assert [each.type for each in letters(2)] == ["", "order.delivered"], "one that fails goes its way as ever"
        testing.wait_until(lambda: committed("notifications.retry") == 2, what="the retries behind us")
        testing.wait_until(lambda: committed("dead_letters") == 3, what="the dead letters behind us")
    assert letter.error == "Malformed: the batch of offsets 1 to 1 cannot be decompressed"
    assert (letter.partition, letter.offset) == (0, 1)


def test_where_such_a_batch_ends(kafka: Any) -> None:
    """FAILURES 48: what lies behind its sixty messages is read, also by those who read a topic again."""
    big = Producer(
        clients.common()
        | {"compression.type": "zstd", "linger.ms": 2000, "batch.size": 200_000_000}
        | {"message.max.bytes": 200_000_000, "queue.buffering.max.kbytes": 1_000_000}
    )
    name = clients.topic_name(TOPIC)
    assert put_raw([raw(b"before", partition=0)]) == []
    for _ in range(60):
        big.produce(name, b"\x00" * 2_000_000, partition=0)
    big.flush(30)
    assert put_raw([raw(b"behind", partition=0)] * 2) == []
    assert unreadable_batches.end_of((name, 0), 1, group="notifications") == 61
    log_range = offsets.LogRange(topic=name, partition=0, start=0, end=63)
    whole = offset_ranges.OffsetRange(log_range=log_range, start=0, stop=63)
    read = [message.offset() for batch in log_reader.read_messages([whole]) for message in batch]
    assert read == [0, 61, 62]


def test_events_that_no_topic_would_take_are_refused_where_they_are_stated() -> None:
    """XB2, FAILURES 48: else they would block their keys in the outbox for ever."""
    with pytest.raises(outbox.EventTooLarge, match=r"order\.created of .* has 2,000,\d+ bytes"):
        outbox.row_of(created(payment_method="x" * 2_000_000))


@contextmanager
def refusing(topic: str) -> Iterator[None]:
    """While that lasts the topic takes no message, whatever its size."""
    _configure(topic, "1")
    try:
        yield
    finally:
        _configure(topic, "1000000")


def _configure(topic: str, largest: str) -> None:
    entry = ConfigEntry("max.message.bytes", largest, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, clients.topic_name(topic), incremental_configs=[entry])
    admin = clients.admin()
    [future] = admin.incremental_alter_configs([resource]).values()
    future.result(20)


def test_a_dead_letter_that_kafka_refuses_for_good_is_stored_at_once(
    group: registry.Group, caplog: pytest.LogCaptureFixture
) -> None:
    """XB2, FAILURES 48: nothing is tried without end, nothing is lost, and the log says what to do."""
    with refusing(DEAD), working(group):
        assert put_raw([raw(b"no event")]) == []
        send(created())
        had(1)
        [letter] = letters(1)
        testing.wait_until(lambda: committed("notifications") == 2, what="both behind us")
    assert (letter.topic, bytes(letter.value), letter.state) == (TOPIC, b"no event", DeadLetter.State.PARKED)
    assert "refuses dead letters" in caplog.text
    assert "create_topics" in caplog.text


def test_a_retry_copy_that_kafka_refuses_for_good_is_done_without(group: registry.Group, settings: Any) -> None:
    """XB2, FAILURES 48: what is parked is tried once it is overdue."""
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE, retry_delays_seconds=(0.1,), retry_overdue_seconds=0.5
    )
    with refusing(RETRY), consumers(group):
        send(delivered())
        [letter] = letters(1)
        testing.wait_until(lambda: committed("notifications") == 1, what="it behind us")
    assert (letter.type, letter.attempts) == ("order.delivered", 2), (
        "one round more; the calls of the first are not known"
    )


def test_a_redrive_that_kafka_refuses_for_good_comes_back(group: registry.Group) -> None:
    """XB2, FAILURES 48: the letter waits for a person again, with what Kafka said, and so does its key."""
    with consumers(group):
        send(delivered())
        [letter] = letters(1)
        dead = ParkedMessage.objects.filter(state=ParkedMessage.State.DEAD)
        testing.wait_until(dead.exists, what="a dead head")
    with refusing(RETRY):
        redriving.redrive(redriving.choose(), by="ada", reason="mended")
        assert dead.count() == 0
        redrive_sender.send_due()
    letter.refresh_from_db()
    assert (letter.state, letter.send_at, dead.count()) == (DeadLetter.State.PARKED, None, 1)
    assert [act.what for act in letter.acts.all()] == ["redriven", "not sent"]
    assert "MSG_SIZE_TOO_LARGE" in letter.acts.last().reason  # type: ignore[union-attr]


COPY = {
    b"retry_group": b"notifications", b"retry_topic": b"orders.events", b"retry_partition": b"0", b"retry_offset": b"0",
    b"retry_attempt": b"1", b"retry_tries": b"3", b"retry_due": b"1.0", b"retry_error": b"no",
}  # fmt: skip
NO_COPIES: list[dict[bytes, bytes]] = [
    {b"retry_topic": b"orders.\x00events"},
    {b"retry_topic": b"inventory.events"},
    {b"retry_topic": b"\xff"},
    {b"retry_partition": b"99999999999"},
    {b"retry_partition": b"-1"},
    {b"retry_offset": b"9223372036854775808"},
    {b"retry_offset": b"9" * 5000},
    {b"retry_attempt": b"-5"},
    {b"retry_attempt": b"99999999999999999999"},
    {b"retry_tries": b"1e3"},
    {b"retry_due": b"nan"},
    {b"retry_due": b"inf"},
    {b"retry_due": b"99999999999"},
    {b"retry_due": b"-1"},
    {b"\xff\xfe": b"a name that is no UTF-8"},
]


def test_copies_that_the_bridge_never_made_stop_nothing(group: registry.Group, settings: Any) -> None:
    """XB3, XE3, FAILURES 49: each header and number in a retry topic is a stranger's until it is checked."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, retry_delays_seconds=(0.1,))
    copies = [RawMessage(topic=RETRY, value=b"{}", headers=tuple((COPY | wrong).items())) for wrong in NO_COPIES]
    copies.append(RawMessage(topic=RETRY, timestamp=-(10**17), headers=tuple(COPY.items())))
    assert put_raw(copies) == []
    with consumers(group):
        testing.wait_until(
            lambda: committed("notifications.retry") == len(copies), what="all passed over", timeout_seconds=60
        )
        send(delivered())
        [letter] = letters(1)
    assert letter.type == "order.delivered", "a real one is tried again as ever, and dies"


def test_letters_that_no_group_wrote_stop_no_others(group: registry.Group) -> None:
    """XB3, XE3, FAILURES 49."""
    strange = [
        RawMessage(topic=DEAD, timestamp=-(10**17), value=b"before all time"),
        RawMessage(topic=DEAD, headers=((b"\xff", b"x"), (b"dlq_topic", b"\xff\x00"), (b"dlq_partition", b"9" * 5000))),
        RawMessage(topic=DEAD, headers=((b"dlq_error", b"\x00" * 500_000), (b"dlq_traceback", b"\xff" * 500_000))),
        RawMessage(topic=DEAD, value=b"\x00" * 30_000_000, compression="zstd"),
        *[
            RawMessage(topic=DEAD, headers=((b"dlq_topic", b"t"), (b"dlq_partition", b"1"), (b"dlq_offset", b"1"),
                                            (b"dlq_attempts", b"99999999")), timestamp=1000 * number)
            for number in range(1, 30)
        ],
    ]  # fmt: skip
    assert put_raw(strange) == []
    with consumers(group):
        send(delivered())
        found = letters(6)
        testing.wait_until(lambda: committed("dead_letters") == len(strange) + 1, what="all behind us")
    assert found[-1].type == "order.delivered"
    assert max(len(letter.value) for letter in found) < 1_200_000


# -- Names of headers that are no UTF-8 -----------------------------------------------------------------------
def test_a_header_whose_name_is_no_utf_8_only_makes_a_dead_letter(kafka: Any) -> None:
    """XE3, FAILURES 47: a real process reads it, lives, and handles what comes behind it."""
    event = delivered()
    body = envelope.encode_body(event)
    strange = [((b"\xff\xfe", b"kept"),), ((b"\xc3\x28", b""), (b"\xff", b"x"))]
    assert put_raw([raw(body, *headers, event=event, partition=0) for headers in strange]) == []
    put(delivered())
    environment = manage_processes.environment_of(django_settings.KAFKA_BRIDGE)
    with manage_processes.process("run_consumer", "notifications", environment=environment) as process:
        testing.wait_until(
            lambda: process.poll() is not None or committed("notifications") == 3, what="all", timeout_seconds=60
        )
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert testing.had_by("notifications") == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    [first, second] = read_topic(DEAD, count=2)
    for letter in (first, second):
        assert headers_of(letter)["dlq_error"] == b"Malformed: the name of a header is no UTF-8"
    assert ("\N{REPLACEMENT CHARACTER}", b"kept") in [*message_headers.read(first), *message_headers.read(second)]


@pytest.mark.parametrize(("how", "code"), [("plainly", -signal.SIGSEGV), ("carefully", 0)])
def test_the_client_by_itself_crashes_there(kafka: Any, how: str, code: int) -> None:
    """XE3, FAILURES 47: should the first of these not crash any more, `message_headers` is needed no longer."""
    assert put_raw([raw(b"", (b"\xff\xfe", b"x"))]) == []
    arguments = [kafka.bootstrap_servers, clients.topic_name(TOPIC), how]
    ended = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "devtools.testing.bridge.read_headers", *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == code, ended.stderr
