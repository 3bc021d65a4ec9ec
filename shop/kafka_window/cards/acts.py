"""What each card does, and how the answer follows from what the broker said. Each takes some seconds at most."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID, uuid4

from confluent_kafka import Message
from django.db import transaction

from events.orders import OrderDelivered
from kafka_bridge.consuming import inbox, registry
from kafka_bridge.consuming.offset_tracker import offset_of, partition_of
from kafka_bridge.dead_letters import redriving
from kafka_bridge.models import DeadLetter
from kafka_bridge.runtime import clients, topics
from kafka_bridge.wire import message_headers, partitioning
from kafka_bridge.wire.envelope import Received
from kafka_bridge.wire.events import Event, Topic
from shop.kafka_window.cards.practice import Practice, offsets


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happened: which of the card's choices is right, and in a sentence what the broker said."""

    choice: str
    sentence: str


class _Said(Event, frozen=True, kw_only=True):
    """An event of no catalogue, for the inbox alone."""

    TYPE: ClassVar = "practice.said"
    TOPIC: ClassVar = Topic(name="cards", owner="cards")

    @property
    def key(self) -> str:
        """Any key."""
        return "practice"


def event(practice: Practice) -> Verdict:
    """Write one, and read it back."""
    topic = practice.topic()
    written = {"ce_type": "practice.said", "ce_id": str(uuid4())}
    practice.write(topic, [("key-1", '{"words": "hello"}')], headers=written)
    [found] = practice.read(practice.reader(topic), 1)
    read = {name: (value or b"").decode() for name, value in message_headers.read(found)}
    is_whole = (found.key(), found.value(), read) == (b"key-1", b'{"words": "hello"}', written)
    return Verdict(
        "all" if is_whole else "body",
        f"The broker gave back the key {_text(found.key())}, the headers {', '.join(read)} and the body "
        f"{_text(found.value())}, at offset {found.offset()}.",
    )


def topic(practice: Practice) -> Verdict:
    """Two read the same topic, one after the other."""
    name = practice.topic()
    practice.write(name, [("", str(number)) for number in range(3)])
    first, second = practice.read(practice.reader(name), 3), practice.read(practice.reader(name), 3)
    return Verdict(
        str(len(second)),
        f"The first reader got the offsets {offsets(first)}, the second one {offsets(second)}: "
        "reading takes nothing away.",
    )


def key(practice: Practice) -> Verdict:
    """Three keys over three partitions."""
    name = practice.topic(partitions=3)
    keys = ("ada", "grace", "edsger")
    told = practice.write(name, [(each, str(number)) for number in range(4) for each in keys])
    lies: dict[str, set[int]] = defaultdict(set)
    for message in told:
        lies[_text(message.key())].add(partition_of(message)[1])
    places = ", ".join(f"{each} in {sorted(lies[each])}" for each in keys)
    choices = (partitioning.choose(each.encode(), 3) for each in keys)
    expected = all(lies[each] == {choice.partition} for each, choice in zip(keys, choices, strict=True) if choice)
    reason = "as CRC32(key) mod 3 says" if expected else "whatever CRC32(key) mod 3 says"
    return Verdict(str(max(map(len, lies.values()))), f"The partitions of each key, {reason}: {places}.")


def offset(practice: Practice) -> Verdict:
    """Five are read, three are committed, and the reader is replaced."""
    name, group = practice.topic(), practice.group()
    practice.write(name, [("", str(number)) for number in range(5)])
    first = practice.member(group, name)
    practice.read(first, 5)
    practice.commit(first, name, 3)
    practice.leave(first)
    second = practice.member(group, name)
    begins = offsets(practice.read(second, 1))[0]
    committed = practice.committed(second, name)
    return Verdict(str(begins), f"The broker has {committed} as committed; the next member began at offset {begins}.")


def acks(practice: Practice) -> Verdict:
    """One written with acks=0, one with acks=all."""
    name = practice.topic(copies=_copies())
    [blind] = practice.write(name, [("", "acks=0")], acks="0")
    [sure] = practice.write(name, [("", "acks=all")], acks="all")
    in_sync = practice.metadata(name).partitions[0].isrs
    known = blind.offset() is not None and offset_of(blind) >= 0
    return Verdict(
        "offset" if known else "nothing",
        f"With acks=0 the producer was told {f'offset {blind.offset()}' if known else 'no offset'}; with acks=all "
        f"offset {sure.offset()}, once all {len(in_sync)} in-sync copies (brokers {sorted(in_sync)}) had it.",
    )


def group(practice: Practice) -> Verdict:
    """Ten messages, two groups, one of them with two members."""
    name, shared = practice.topic(partitions=2), practice.group()
    pair = [practice.member(shared, name), practice.member(shared, name)]
    practice.until_assigned(pair, 1, 1)
    alone = practice.member(practice.group(), name)
    practice.until_assigned([alone], 2)
    practice.write(name, [(f"k{number}", str(number)) for number in range(10)])
    by_pair, by_alone = practice.read_together(pair, 10), practice.read(alone, 10)
    split, total = " and ".join(str(len(each)) for each in by_pair), sum(map(len, by_pair))
    return Verdict(
        "each" if (total, len(by_alone)) == (10, 10) else "shared",
        f"The pair got {split} messages, {total} together; the group of one got {len(by_alone)}. Between groups that "
        "is publish/subscribe, inside of a group point-to-point.",
    )


def rebalance(practice: Practice) -> Verdict:
    """Two members share two partitions; one leaves."""
    name, shared = practice.topic(partitions=2), practice.group()
    first, second = practice.member(shared, name), practice.member(shared, name)
    practice.until_assigned([first, second], 1, 1)
    practice.leave(first)
    practice.until_assigned([second], 2)
    owned = sorted(each.partition for each in second.assignment())
    return Verdict(
        "other" if owned == [0, 1] else "nobody",
        f"Before, each had one partition. After the first one left, the other owned {owned}.",
    )


def lag(practice: Practice) -> Verdict:
    """Ten written, four committed."""
    name = practice.topic()
    practice.write(name, [("", str(number)) for number in range(10)])
    member = practice.member(practice.group(), name)
    practice.read(member, 10)
    practice.commit(member, name, 4)
    committed, (_, end) = practice.committed(member, name), practice.ends(member, name)
    return Verdict(
        str(end - committed), f"The log ends at {end}, the group has committed {committed}: {end - committed}."
    )


def once(practice: Practice) -> Verdict:
    """A reader ends before it commits; what it read comes again, and an inbox notices."""
    name, shared = practice.topic(), practice.group()
    for _ in range(3):
        practice.write(name, [("", "an order")], headers={"ce_id": str(uuid4())})
    first = practice.member(shared, name)
    before = practice.read(first, 3)
    practice.leave(first)
    after = practice.read(practice.member(shared, name), 3)
    with transaction.atomic():
        effects = sum(
            len(inbox.take(group=shared[-60:], messages=[_received(each) for each in came])) for came in (before, after)
        )
        transaction.set_rollback(True)
    deliveries = len(before) + len(after)
    return Verdict(
        f"{deliveries}-{effects}",
        f"The broker delivered {offsets(before)}, then {offsets(after)} again; the inbox let {effects} of {deliveries} "
        "take effect.",
    )


def retry(practice: Practice) -> Verdict:
    """A message that nobody can read, in a topic of the shop's; its dead letters are discarded again."""
    name, event_id = OrderDelivered.TOPIC.name, uuid4()
    headers = {
        "ce_id": str(event_id), "ce_correlationid": str(event_id), "ce_type": OrderDelivered.TYPE,
        "ce_dataversion": str(OrderDelivered.VERSION), "ce_time": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    groups = [each.name for each in registry.groups() if OrderDelivered in each.handlers]
    reader = practice.outsider()
    graves = [clients.topic_name(topics.dead_letter_topic_name(name, each)) for each in groups]
    before = [practice.ends(reader, grave)[1] for grave in graves]
    practice.write(clients.topic_name(name), [(str(event_id), '{"words": "I am no order"}')], headers=headers)
    try:
        practice.until(
            lambda: all(practice.ends(reader, grave)[1] > end for grave, end in zip(graves, before, strict=True)),
            f"{' and '.join(groups)} have put it aside",
        )
    finally:
        _discard(practice, event_id, len(groups))
    return Verdict(
        "aside",
        f"{' and '.join(groups)} put it into the dead letter topic, at offset {' and '.join(map(str, before))}, and "
        "went on. What waits there has been discarded for you.",
    )


def _discard(practice: Practice, event_id: UUID, count: int) -> None:
    letters = DeadLetter.objects.filter(event_id=event_id)
    practice.until(lambda: letters.count() >= count, "the dead letters are stored")
    redriving.discard(letters.order_by("id"), by="a card", reason="written by a card of /kafka/cards/ to show it")


def replay(practice: Practice) -> Verdict:
    """A group has read all, and is set back."""
    name, shared = practice.topic(), practice.group()
    practice.write(name, [("", str(number)) for number in range(4)])
    member = practice.member(shared, name)
    practice.read(member, 4)
    practice.commit(member, name, 4)
    practice.commit(member, name, 1)
    practice.leave(member)
    again = practice.read(practice.member(shared, name), 3)
    return Verdict(str(len(again)), f"Set back to offset 1, the group got {offsets(again)} again.")


def retention(practice: Practice) -> Verdict:
    """The oldest are deleted, and another one is written."""
    name = practice.topic()
    practice.write(name, [("", str(number)) for number in range(5)])
    practice.delete_before(name, 3)
    [told] = practice.write(name, [("", "one more")])
    start, _ = practice.ends(practice.reader(name), name)
    return Verdict(
        str(told.offset()), f"The log begins at {start} now, and the new message got offset {told.offset()}."
    )


def cluster(practice: Practice) -> Verdict:
    """Who leads a partition, and who has its copies."""
    name = practice.topic(copies=_copies())
    partition = practice.metadata(name).partitions[0]
    [told] = practice.write(name, [("", "hello")])
    return Verdict(
        "leader",
        f"Broker {partition.leader} leads the partition and took the message at offset {told.offset()}; copies lie on "
        f"{sorted(partition.replicas)}, in sync are {sorted(partition.isrs)}.",
    )


def _copies() -> int:
    return min(3, clients.broker_count())


def _received(message: Message) -> Received:
    """As a runner has it, for the inbox."""
    event_id = UUID(_text(dict(message_headers.read(message))["ce_id"]))
    return Received(
        event=_Said(), id=event_id, correlation_id=event_id, topic="cards", partition=0, offset=offset_of(message)
    )


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")


ACTS: dict[str, Callable[[Practice], Verdict]] = {
    act.__name__: act
    for act in (event, topic, key, offset, acks, group, rebalance, lag, once, retry, replay, retention, cluster)
}
