"""With a key and without: is the sequence of an order's steps kept?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from confluent_kafka import Message

from devtools.experiments.lab import Lab
from devtools.experiments.member import Member
from devtools.experiments.plans import Bar, Experiment, Finding

ORDERS, PARTITIONS = 60, 3
STEPS = ("placed", "held", "paid", "packed", "shipped")


def _run(lab: Lab) -> Finding:
    orders = [f"order-{number}" for number in range(lab.some(ORDERS))]
    mixed: dict[bool, int] = {}
    spread: dict[bool, float] = {}
    for has_key in (True, False):
        name = "with a key" if has_key else "without a key"
        lab.report(f"{len(orders)} orders, {len(STEPS)} steps each, {name}", 0.1 if has_key else 0.5)
        topic = lab.topic("keyed" if has_key else "keyless", partitions=PARTITIONS)
        _write(lab, topic, orders, has_key=has_key)
        lab.report(f"{PARTITIONS} members of a group handle them", 0.3 if has_key else 0.7)
        steps, places = _handle(lab, topic, len(orders))
        mixed[has_key] = sum(tuple(each) != STEPS for each in steps.values())
        spread[has_key] = sum(map(len, places.values())) / len(places)
    return _finding(len(orders), mixed, spread)


def _write(lab: Lab, topic: str, orders: Sequence[str], *, has_key: bool) -> None:
    """Step by step, each on the brokers before the next one, as happens in a shop; the orders in any sequence."""
    # Without a key the client changes the partition only when its batch is full, or with this one at each message.
    producer = lab.producer(linger_ms=0, sticky_partitioning_linger_ms=0)
    for step in STEPS:
        for order in lab.random.sample(orders, len(orders)):
            if has_key:
                producer.produce(topic, f"{order} {step}".encode(), key=order.encode())
            else:
                producer.produce(topic, f"{order} {step}".encode())
        producer.flush(30)


def _handle(lab: Lab, topic: str, orders: int) -> tuple[Mapping[str, list[str]], Mapping[str, set[int]]]:
    """By order, the steps as they were handled, and the partitions in which they lay."""
    steps: dict[str, list[str]] = defaultdict(list)
    places: dict[str, set[int]] = defaultdict(set)

    def handle(_: Member, message: Message) -> None:
        order, step = (message.value() or b"").decode().split()
        steps[order].append(step)
        places[order].add(int(message.partition() or 0))

    group = lab.group(topic.rpartition("-")[2])
    members = [lab.member(group, topic, handle) for _ in range(PARTITIONS)]
    lab.wait(lambda: sum(member.handled for member in members) >= orders * len(STEPS), "all steps handled")
    lab.dismiss()
    return steps, places


def _finding(orders: int, mixed: Mapping[bool, int], spread: Mapping[bool, float]) -> Finding:
    outcome = {(True, False): "key", (True, True): "both", (False, False): "neither"}.get(
        (not mixed[True], not mixed[False]), "neither"
    )
    return Finding(
        outcome=outcome,
        verdict=f"With the order's id as key {mixed[True]} of {orders} orders were handled out of sequence; without a "
        f"key {mixed[False]}.",
        chart=f"orders handled out of sequence, of {orders}",
        bars=(
            Bar(label="with a key", value=mixed[True], words=str(mixed[True])),
            Bar(label="without", value=mixed[False], words=str(mixed[False])),
        ),
        notes=(
            f"With a key all {len(STEPS)} steps of an order lay in one partition; without, in {spread[False]:.1f} of "
            f"{PARTITIONS} on average.",
            "Kafka keeps the sequence within a partition and nowhere else: members read their partitions side by side. "
            "The key's hash chooses the partition, so one order's messages stay together.",
        ),
        figures={"orders": orders, "mixed_with_key": mixed[True], "mixed_without_key": mixed[False]},
    )


KEYS = Experiment(
    name="keys",
    title="A key keeps the sequence",
    about=f"Every order has {len(STEPS)} steps, written one after the other to a topic with {PARTITIONS} partitions: "
    f"first with the order's id as key, then without a key. A group of {PARTITIONS} members handles them.",
    question="Whose steps are handled in the sequence in which they were written?",
    choices={
        "both": "with a key and without one",
        "key": "only those with a key",
        "neither": "neither, for there are three members",
    },
    run=_run,
    seconds=10,
)
