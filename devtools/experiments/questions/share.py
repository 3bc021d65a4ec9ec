"""Share groups, Kafka's queues: may several members work on one partition?"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, Message, ShareConsumer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from devtools.experiments.lab import Lab
from devtools.experiments.member import Member
from devtools.experiments.plans import Bar, Experiment, Finding

MEMBERS = 3
MESSAGES = 240
WORK_SECONDS = 0.01


@dataclass(slots=True)
class _Tally:
    """Who handled how much."""

    by_member: Counter[int] = field(default_factory=Counter)
    seen: Counter[int] = field(default_factory=Counter)
    """By offset, how often it was handed out."""
    rate: float = 0.0
    """Messages a second, once all that can work do."""

    def handle(self, member: int, message: Message) -> None:
        """Work on a message for a while."""
        time.sleep(WORK_SECONDS)
        self.seen[int(message.offset() or 0)] += 1
        self.by_member[member] += 1


def _run(lab: Lab) -> Finding:
    lab.report(f"a consumer group of {MEMBERS} on one partition", 0.2)
    group = _consumer_group(lab)
    lab.report(f"a share group of {MEMBERS} on one partition", 0.6)
    return _finding(group, _share_group(lab))


def _consumer_group(lab: Lab) -> _Tally:
    tally, topic, group, count = _Tally(), lab.topic("group"), lab.group("group"), lab.some(MESSAGES)

    def handle(member: Member, message: Message) -> None:
        tally.handle(member.number, message)

    members = [lab.member(group, topic, handle) for _ in range(MEMBERS)]
    lab.wait(lambda: any(member.partitions for member in members), "the group's assignment")
    tally.rate = count / _handed_out(lab, topic, tally, count, working=1)
    lab.dismiss()
    return tally


def _share_group(lab: Lab) -> _Tally:
    tally, topic, group, count = _Tally(), lab.topic("share"), lab.group("share"), lab.some(MESSAGES)
    # A share group begins at the end; this one shall have what is written before its members are there.
    begin = ConfigEntry("share.auto.offset.reset", "earliest", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.GROUP, group, incremental_configs=[begin])
    lab.admin.incremental_alter_configs([resource])[resource].result(15)
    with _sharing(lab, group, topic, tally):
        tally.rate = count / _handed_out(lab, topic, tally, count, working=MEMBERS)
    return tally


@contextmanager
def _sharing(lab: Lab, group: str, topic: str, tally: _Tally) -> Iterator[None]:
    is_over = threading.Event()
    failed: list[KafkaException] = []

    def share(number: int) -> None:
        # One message a time, or the first to ask takes all there are.
        config = {**lab.connection, "group.id": group, "max.poll.records": 1}
        with ShareConsumer(config) as consumer:
            consumer.subscribe([topic])
            while not is_over.is_set():
                try:
                    for message in consumer.poll(0.2):
                        if message.error() is None:
                            tally.handle(number, message)
                except KafkaException as error:
                    failed.append(error)
                    return

    threads = [threading.Thread(target=share, args=[number], daemon=True) for number in range(MEMBERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join(15)
    if failed:
        raise failed[0]


def _handed_out(lab: Lab, topic: str, tally: _Tally, count: int, *, working: int) -> float:
    """Write messages until so many members have work, then `count` more; the seconds until those were handled.

    One at a time, as in a shop: a member takes whole batches of what lies there.
    """
    producer = lab.producer(linger_ms=0)

    def write() -> None:
        producer.produce(topic, b"job")
        producer.flush(10)

    def all_have_work() -> bool:
        write()
        return len(tally.by_member) >= working

    lab.wait(all_have_work, f"work for {working} members")
    written = sum(lab.ends(topic).values())
    lab.wait(lambda: len(tally.seen) >= written, "the first messages handled")
    began = time.perf_counter()
    for _ in range(count):
        write()
    lab.wait(lambda: len(tally.seen) >= written + count, "all messages handled")
    return time.perf_counter() - began


def _finding(group: _Tally, share: _Tally) -> Finding:
    group_works, share_works = len(group.by_member), len(share.by_member)
    outcome = "both" if group_works > 1 else "share" if share_works > 1 else "nobody"
    twice = sum(times > 1 for times in share.seen.values())
    counts = ", ".join(str(count) for count in share.by_member.values())
    return Finding(
        outcome=outcome,
        verdict=f"Of {MEMBERS} members on one partition {group_works} had work in the consumer group "
        f"({group.rate:,.0f}/s), and {share_works} in the share group ({share.rate:,.0f}/s).",
        chart="messages handled a second, one partition",
        bars=(
            Bar(label="consumer group", value=round(group.rate, 1), words=f"{group.rate:,.0f}/s"),
            Bar(label="share group", value=round(share.rate, 1), words=f"{share.rate:,.0f}/s"),
        ),
        notes=(
            f"Messages by member of the share group: {counts}.",
            "The broker hands out each message by itself and hears of each whether it was done; "
            f"{twice or 'none'} came twice. The price: no sequence, not even for one key. So the shop's saga uses "
            "consumer groups.",
            "Share groups (KIP-932) are final in brokers from 4.2 on; in the Python client they are a preview.",
        ),
        figures={
            "consumer_group": {"per_second": round(group.rate, 1), "members": group_works},
            "share_group": {"per_second": round(share.rate, 1), "members": share_works, "twice": twice},
        },
    )


SHARE = Experiment(
    name="share",
    title="A queue: share groups",
    about=f"One partition, {MEMBERS} members, and messages that take 10 ms each. First the members are a consumer "
    "group, then a share group, which is Kafka's queue.",
    question=f"In which of the two do all {MEMBERS} members have work?",
    choices={"both": "in both", "share": "only in the share group", "nobody": "in neither: there is one partition"},
    run=_run,
    seconds=25,
    brokers=1,
)
