"""docs/foreign-consumers.md: consumers in other languages read what the shop states, as the examples are written."""

import binascii
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, Message
from django.conf import settings

from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.dead_letters import headers_of
from devtools.testing.services import STATE, Services
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.runtime import clients
from kafka_bridge.wire import envelope

pytestmark = [pytest.mark.window, pytest.mark.kafka]
EXAMPLES = Path(settings.BASE_DIR) / "examples" / "foreign_consumers"
ORDERS = 40


def java(services: Services) -> list[str]:
    """The command that runs the Java consumer."""
    options = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m")
    return ["java", *options, "-cp", f"{services.jars.folder}/*", str(EXAMPLES / "java" / "OrdersConsumer.java")]


def node(_: Services) -> list[str]:
    """The command that runs the Node.js consumer, with what its lock file lists installed once."""
    if not (shutil.which("node") and shutil.which("npm")):
        (pytest.fail if settings.CI else pytest.skip)("The Node.js consumer needs node and npm.")
    locked = (EXAMPLES / "node" / "package-lock.json").read_bytes()
    folder = STATE / "node" / hashlib.sha256(locked).hexdigest()[:12]
    if not (folder / "node_modules" / ".package-lock.json").exists():
        shutil.copytree(EXAMPLES / "node", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
        quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
        subprocess.run(["npm", "ci", *quiet], cwd=folder, check=True)  # noqa: S603, S607
    script = folder / "orders_consumer.js"
    shutil.copy(EXAMPLES / "node" / script.name, script)
    return ["node", str(script)]


def python(_: Services) -> list[str]:
    """The command that runs the Python consumer."""
    return [sys.executable, str(EXAMPLES / "python" / "orders_consumer.py")]


def go(_: Services) -> list[str]:
    """The command that runs the Go consumer."""
    if not shutil.which("go"):
        pytest.skip("The Go consumer needs go.")
    target = STATE / "go" / "orders-consumer"
    subprocess.run(["go", "build", "-o", str(target), "."], cwd=EXAMPLES / "go", check=True)  # noqa: S603, S607
    return [str(target)]


@pytest.mark.parametrize(
    "languages",
    [pytest.param([java, node, python], id="java, node, python"), pytest.param([go], id="go", marks=pytest.mark.prove)],
)
def test_consumers_of_other_languages(
    languages: list[Callable[[Services], list[str]]], kafka: ApacheKafka, services: Services, tmp_path: Path
) -> None:
    """W3: each hears every order once, though one came twice, and passes over what is malformed."""
    orders = [uuid4() for _ in range(ORDERS)]
    events = [created(order) for order in orders]
    headers = [headers_of(event) for event in events]
    state(zip(events, headers, strict=True))
    state([(events[0], headers[0])])  # as a relay does that had no answer
    producer = clients.producer()
    topic = clients.topic_name(catalogue.ORDERS.name)
    producer.produce(topic, key="x", value=b"{", headers=[("ce_id", b"1")])
    producer.produce(topic, key="y", value=b"[]", headers=[("ce_id", b"2"), ("ce_type", b"order.created")])
    assert producer.flush(30) == 0

    wanted = {f"order.created {order} {found['ce_id'].decode()}" for order, found in zip(orders, headers, strict=True)}
    with ExitStack() as stack:
        runs = [stack.enter_context(running(each(services), tmp_path / each.__name__)) for each in languages]
        for run in runs:
            testing.wait_until(
                lambda run=run: len(lines(run, "out")) >= ORDERS and len(skipped(run)) >= 2,
                what=f"orders heard by {run.name}",
                timeout_seconds=60,
            )
    for run in runs:
        assert sorted(lines(run, "out")) == sorted(wanted), run.name
        assert len(skipped(run)) == 2, run.name


def state(events: Iterable[tuple[catalogue.OrderCreated, dict[str, bytes]]]) -> None:
    """Send events as the relay does: the same producer, key, headers and body; each goes where its key's CRC32 says."""
    producer, refused = clients.producer(), list[KafkaError]()
    partitions: dict[str, int] = {}

    def report(error: KafkaError | None, message: Message) -> None:
        if error:
            refused.append(error)
        partitions[(message.key() or b"").decode()] = message.partition() or 0

    for event, headers in events:
        producer.produce(
            clients.topic_name(event.TOPIC.name),
            key=event.key,
            value=envelope.encode_body(event),
            headers=list(headers.items()),
            on_delivery=report,
        )
    assert producer.flush(30) == 0 and not refused
    for key, partition in partitions.items():
        assert partition == binascii.crc32(key.encode()) % clients.conf().partitions


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[Path]:
    """A consumer at work in a process; yields the folder with what it printed. It ends by itself on SIGTERM."""
    folder.mkdir()
    environment = os.environ | {
        "BROKERS": clients.conf().bootstrap_servers,
        "TOPIC": clients.topic_name(catalogue.ORDERS.name),
        "GROUP": clients.conf().group_prefix + folder.name,
    }
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)  # noqa: S603
        try:
            yield folder
            process.terminate()
            code = process.wait(timeout=60)
        finally:
            process.kill()
            process.wait()
    assert code in (0, 143), (folder / "err").read_text()  # 143: how Java says that a signal ended it


def lines(folder: Path, name: str) -> list[str]:
    """What a consumer has printed so far, whole lines."""
    return (folder / name).read_text().split("\n")[:-1]


def skipped(folder: Path) -> list[str]:
    """What it says that it passed over."""
    return [line for line in lines(folder, "err") if line.startswith("skipped ")]
