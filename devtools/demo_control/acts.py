"""What can be broken, how, and how that is undone."""

import contextlib
import json
import signal
import sys
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import redis
from confluent_kafka import KafkaError, Message, Producer

from devtools.demo_control.channel import Refused
from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.local.roles import PROJECT, Roles
from devtools.local.supervisor import Command, Supervisor

Undo = Callable[[], None]
SECONDS_MIN, SECONDS_MAX = 3, 120
POISONED_TOPIC = "orders.events"
_ANSWER_SECONDS = 3.0
_BUYERS_PER_SECOND = 10
_BROKER = "broker "


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A shop on this machine, whose parts can be broken."""

    supervisor: Supervisor
    roles: Roles
    kafka: ApacheKafka | None
    """None where its brokers are not ours, or are the embedded one."""
    environment: Callable[[], Mapping[str, str]]
    """By which its commands find it."""

    def targets(self) -> list[str]:
        """What can be stopped, frozen and killed."""
        brokers = self.kafka.brokers if self.kafka else ()
        return [*self.roles.names, *(f"{_BROKER}{number}" for number in brokers)]

    def process(self, target: str) -> str:
        """The name under which the supervisor has it."""
        if target.startswith(_BROKER) and self.kafka:
            return self.kafka.brokers[int(target.removeprefix(_BROKER))].name
        return target

    def start(self, target: str) -> None:
        """Start it, if it is not running; does not wait."""
        if self.supervisor.is_running(self.process(target)):
            return
        if target.startswith(_BROKER) and self.kafka:
            self.kafka.launch(int(target.removeprefix(_BROKER)))
        else:
            self.roles.start(target)


@dataclass(frozen=True, kw_only=True)
class Act:
    """One way to break something."""

    key: str
    title: str
    about: str
    undone: str
    """How it is undone, in words."""
    begin: Callable[[Parts, str, int], Undo]
    """Do it to this target for so many seconds; returns what undoes it."""
    has_target: bool = False
    seconds: int = 20
    grace_seconds: int = 0
    """For so much longer it may go on, because it takes a while to begin."""


def _stop(parts: Parts, target: str, seconds: int) -> Undo:
    parts.supervisor.stop(parts.process(target), within_seconds=3)
    return lambda: parts.start(target)


def _kill(parts: Parts, target: str, seconds: int) -> Undo:
    parts.supervisor.kill(parts.process(target))
    return lambda: parts.start(target)


def _freeze(parts: Parts, target: str, seconds: int) -> Undo:
    name = parts.process(target)
    parts.supervisor.send(name, signal.SIGSTOP)

    def thaw() -> None:
        with contextlib.suppress(LookupError):  # it was ended meanwhile
            parts.supervisor.send(name, signal.SIGCONT)

    return thaw


def _flush_redis(parts: Parts, target: str, seconds: int) -> Undo:
    url = parts.environment()["REDIS_URL"]
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            client.flushall()
    except redis.RedisError as error:
        raise Refused(f"Redis does not answer: {error}") from error
    return _nothing


def _close_bank(parts: Parts, target: str, seconds: int) -> Undo:
    _tell_bank(parts, seconds)

    def open_bank() -> None:
        with contextlib.suppress(Refused):  # it counts the seconds itself
            _tell_bank(parts, 0)

    return open_bank


def _tell_bank(parts: Parts, seconds: int) -> None:
    url = f"{parts.environment()['SANDBOX_URL']}/v1/control/outage"
    body = json.dumps({"seconds": seconds, "mode": "refuse"}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310 - our own address
    # Never through a proxy of the environment: the address is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_ANSWER_SECONDS):
            pass
    except OSError as error:
        raise Refused(f"The bank does not answer: {error}") from error


def _poison(parts: Parts, target: str, seconds: int) -> Undo:
    """A message that nobody can read, to all groups that hear the topic; each gives it up as a dead letter."""
    environment, placed = parts.environment(), list[tuple[int, int]]()

    def note(error: KafkaError | None, message: Message) -> None:
        if error is None:
            placed.append((int(message.partition() or 0), int(message.offset() or 0)))

    topic = environment.get("KAFKA_TOPIC_PREFIX", "") + POISONED_TOPIC
    producer = Producer(
        {"bootstrap.servers": environment["KAFKA_BOOTSTRAP_SERVERS"], "log_level": 0, "message.timeout.ms": 2500}
    )
    producer.produce(topic, b"nonsense", on_delivery=note)
    producer.flush(_ANSWER_SECONDS)
    if not placed:
        raise Refused("Kafka does not take the message now.")
    [(partition, offset)] = placed
    place = [POISONED_TOPIC, str(partition), str(offset)]
    return lambda: _run(parts, "discard-poison", "discard_dead_letters_of", *place, "--reason", "poison of the demo")


def _burst(parts: Parts, target: str, seconds: int) -> Undo:
    buyers = seconds * _BUYERS_PER_SECOND
    options = ["--buyers", buyers, "--units", max(1, buyers // 2), "--rate", _BUYERS_PER_SECOND, "--threads", 8]
    _run(parts, "burst", "simulate_flash_sale", *map(str, options))
    return lambda: parts.supervisor.stop("burst", within_seconds=3)


def _run(parts: Parts, name: str, *arguments: str) -> None:
    """A command of the project, which is not started again when it ends."""
    if parts.supervisor.is_running(name):
        raise Refused(f"The last {name} is still running.")
    environment = {**parts.environment(), "BOOKRUSH_ROLE": name}
    command = Command(
        name=name, arguments=[sys.executable, "manage.py", *arguments], environment=environment, folder=PROJECT
    )  # fmt: skip
    parts.supervisor.start(command, on_end=_nothing)


def _nothing() -> None:
    """What is over has nothing left to undo."""


ACTS = (
    Act(
        key="stop", title="Stop a part", about="It is asked to end (SIGTERM), finishes what it has in hand and goes.",
        undone="it is started again", begin=_stop, has_target=True,
    ),
    Act(
        key="freeze", title="Freeze a part", about="It stands still (SIGSTOP): connections stay open, nothing answers.",
        undone="it goes on (SIGCONT)", begin=_freeze, has_target=True,
    ),
    Act(
        key="kill", title="Kill a part", about="It is gone at once (SIGKILL), with whatever it had in hand.",
        undone="it is started again", begin=_kill, has_target=True,
    ),
    Act(
        key="bank", title="Bank outage", about="The sandbox's bank refuses every call.",
        undone="it opens again, and waiting charges are made", begin=_close_bank,
    ),
    Act(
        key="redis", title="Flush Redis", about="Counters, caches, sessions' copies and heartbeats are gone at once.",
        undone="the shop rebuilds it from PostgreSQL by itself", begin=_flush_redis, seconds=10,
    ),
    Act(
        key="poison", title="Poison message",
        about=f"A message that nobody can read is written to {POISONED_TOPIC}. Each group that hears it gives it up as "
        "a dead letter, and goes on.",
        undone="its dead letters are discarded", begin=_poison,
    ),
    Act(
        key="burst", title="Burst of orders",
        about=f"{_BUYERS_PER_SECOND} orders a second for one book, of which there are half as many.",
        undone="its sale ends, and its book goes off the shelf", begin=_burst, grace_seconds=20,
    ),
)  # fmt: skip
