"""Services and processes on one machine."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Consumer, Producer

from devtools.local import installed, ports, roles, state_dir
from devtools.local.errors import LocalError
from devtools.local.kafka import kafka_choice, kafka_jars
from devtools.local.kafka.embedded_kafka import EmbeddedKafka
from devtools.local.postgres import Postgres
from devtools.local.roles import PROJECT
from devtools.local.state_dir import StateDir
from devtools.local.supervisor import Command, Supervisor
from kafka_bridge.runtime import waiting
from kafka_bridge.runtime.waiting import Stopped

SLEEP = [sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(600)"]
DEAF = [
    *(sys.executable, "-S", "-c"),
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """One of the test's own; what it leaves is ended."""
    supervisor = Supervisor(logs=tmp_path / "logs")
    yield supervisor
    supervisor.stop_all()


def is_alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_up(supervisor: Supervisor, name: str) -> None:
    """Until the child has said `up`."""
    supervisor.wait_ready(name, lambda: supervisor.tail(name).endswith("up"), timeout_seconds=60)


# -- children -------------------------------------------------------------------------------------
def test_a_child_that_ends_is_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(logs=tmp_path, say=said.append)
    supervisor.start(Command(name="child", arguments=SLEEP))
    first = supervisor.pid("child")
    os.kill(first, signal.SIGKILL)

    def again() -> bool:
        supervisor.look_after()
        return supervisor.is_running("child") and supervisor.pid("child") != first

    waiting.until(again, what="a second child", timeout_seconds=60)
    assert "child ended (signal SIGKILL); starting it again in 0.5 s" in said[0]
    supervisor.stop_all()


def test_a_child_that_will_not_stop_is_killed_with_all_that_it_started(supervisor: Supervisor) -> None:
    family = "import subprocess, sys, time; subprocess.Popen([sys.executable, *sys.argv[1:]]); time.sleep(600)"
    supervisor.start(Command(name="family", arguments=[sys.executable, "-S", "-c", family, *DEAF[1:]]))
    wait_up(supervisor, "family")
    parent = supervisor.pid("family")
    children = [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    assert len(children) == 1
    supervisor.stop("family", within_seconds=0.5)
    assert not is_alive(parent)
    waiting.until(lambda: not is_alive(children[0]), what="the grandchild's end", timeout_seconds=60)


def test_a_paused_child_can_be_stopped(supervisor: Supervisor) -> None:
    supervisor.start(Command(name="child", arguments=SLEEP))
    wait_up(supervisor, "child")
    pid = supervisor.pid("child")
    supervisor.send("child", signal.SIGSTOP)
    supervisor.stop("child", within_seconds=5)
    assert not is_alive(pid)


def test_a_child_that_fails_says_why(supervisor: Supervisor) -> None:
    supervisor.start(Command(name="child", arguments=[sys.executable, "-c", "raise SystemExit('no such thing')"]))
    with pytest.raises(LocalError, match=r"exit code 1(.|\n)*no such thing"):
        supervisor.wait_ready("child", lambda: False)


def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from devtools.local.supervisor import Command, Supervisor\n"
        "supervisor = Supervisor(logs=Path(sys.argv[1]))\n"
        "for name in ('one', 'two'):\n"
        "    supervisor.start(Command(name=name, arguments=sys.argv[2:]))\n"
        "    supervisor.wait_ready(name, lambda: supervisor.tail(name) == 'up')\n"
        "print(supervisor.pid('one'), supervisor.pid('two'), flush=True); time.sleep(600)"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path), *DEAF]
    with subprocess.Popen(arguments, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        os.killpg(pids[1], signal.SIGSTOP)  # as a demo's page may have asked for
        process.kill()
    waiting.until(lambda: not any(map(is_alive, pids)), what="the children's end", timeout_seconds=60)


def test_waiting_ends_when_told_to_stop() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        waiting.until(lambda: False, what="nothing", timeout_seconds=60, stop=stop)


# -- the state folder -----------------------------------------------------------------------------
def test_only_one_may_use_a_folder(tmp_path: Path) -> None:
    first, second = StateDir(tmp_path / "state"), StateDir(tmp_path / "state")
    first.open(note="at http://127.0.0.1:8000/")
    with pytest.raises(LocalError, match=rf"already running in .*process {os.getpid()} at http://127.0.0.1:8000/"):
        second.open(note="elsewhere")
    first.close()
    second.open(note="elsewhere")
    second.close()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match="cannot be written"):
        StateDir(tmp_path / "file" / "state").open(note="")


def test_a_nearly_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_dir, "LEAST_FREE_BYTES", 2**62)
    with pytest.raises(LocalError, match="is full"):
        StateDir(tmp_path).open(note="")


def test_a_disk_that_fills_up_is_said(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="is full"), state_dir.translating_full_disk(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_sockets_of_a_deep_folder_lie_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 30)
    assert len(str(StateDir(deep).sockets / "shop-redis.sock")) < 104
    assert StateDir(tmp_path).sockets == tmp_path / "run"


# -- ports and options ------------------------------------------------------------------------------
def test_neighbours_are_three_free_ports() -> None:
    port = ports.pick_neighbours()
    assert all(ports.is_free(neighbour) for neighbour in (port, port + 1, port + 2))


@pytest.mark.parametrize(
    ("gateway", "is_started"), [(roles.SANDBOX, True), ("payments.gateways.stripe.StripeGateway", False)]
)
def test_the_sandbox_gateway_is_a_role_only_where_it_is_in_use(tmp_path: Path, gateway: str, is_started: bool) -> None:
    names = roles.Roles(
        Supervisor(logs=tmp_path), host="127.0.0.1", port=1, environment={"PAYMENT_GATEWAY": gateway}, run=tmp_path
    ).names
    assert (roles.GATEWAY in names) == is_started
    if is_started:
        assert names.index(roles.GATEWAY) < names.index("payments"), "first what payments will call"


def test_preferred_ports_are_taken_where_they_are_free() -> None:
    port = ports.pick_neighbours()
    assert ports.pick(2, preferred=(port, port + 1)) == [port, port + 1]


@pytest.mark.parametrize("value", ["auto", "embedded", "single", "cluster", "localhost:9092", "a:1,b.example:29092"])
def test_kafka_can_be_named(value: str) -> None:
    kafka_choice.check(value)


@pytest.mark.parametrize("value", ["", "docker", "localhost", "a:1,b", "a:1 b:2", "http://a:1"])
def test_what_names_no_kafka_is_refused(value: str) -> None:
    with pytest.raises(LocalError, match="takes auto, embedded, single, cluster, or servers"):
        kafka_choice.check(value)


def test_java_missing_or_old_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(kafka_jars.JavaMissing, match="no `java` here"):
        kafka_jars.java_version()
    for version in ("11.0.2", "21"):
        java = tmp_path / version / "java"
        java.parent.mkdir()
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2019-01-15' >&2\n")
        java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "11.0.2"))
    with pytest.raises(kafka_jars.JavaMissing, match="`java` here is 11"):
        kafka_jars.java_version()
    monkeypatch.setenv("PATH", str(tmp_path / "21"))
    with pytest.raises(kafka_jars.MavenMissing, match="install Maven"):
        kafka_jars.Jars(tmp_path / "jars").check()


def test_a_failed_download_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, supervisor: Supervisor) -> None:
    for name, script in {"java": "echo 'openjdk version \"21\"' >&2", "mvn": "echo no route to host; exit 1"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    jars = kafka_jars.Jars(tmp_path / "jars")
    with pytest.raises(kafka_jars.DownloadFailed, match=r"could not be downloaded(.|\n)*no route to host"):
        jars.ensure(supervisor)
    assert not jars.are_here


def test_a_missing_module_is_found(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# why\nDjango==5.2\nno-such-thing[extra]==1.0\n")
    assert installed.missing_modules(tmp_path / "requirements.txt") == ["no-such-thing"]


# -- services ---------------------------------------------------------------------------------------
def test_postgres_recovers_from_a_crash_and_refuses_broken_data(tmp_path: Path, supervisor: Supervisor) -> None:
    (tmp_path / "run").mkdir()
    postgres = Postgres(supervisor, data=tmp_path / "data", sockets=tmp_path / "run")
    postgres.start()
    postgres.ensure_database("shop")
    with psycopg.connect(postgres.url("shop"), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
    postgres.kill()
    assert (tmp_path / "data" / "postmaster.pid").exists()
    postgres.start()
    with psycopg.connect(postgres.url("shop")) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    postgres.stop()
    (tmp_path / "data" / "PG_VERSION").write_text("")
    with pytest.raises(LocalError, match="make demo RESET=1"):
        postgres.start()


def test_postgres_starts_while_a_statement_of_the_killed_server_still_runs(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    (tmp_path / "run").mkdir()
    postgres = Postgres(supervisor, data=tmp_path / "data", sockets=tmp_path / "run")
    postgres.start()
    with contextlib.closing(psycopg.connect(postgres.url("postgres"), autocommit=True)) as connection:
        backend = connection.info.backend_pid
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 100000000000)")
        postgres.kill()
        assert Path(f"/proc/{backend}").exists(), "the backend has ended by itself, and nothing is shown"
        postgres.start()
    with psycopg.connect(postgres.url("postgres")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_postgres_with_a_damaged_control_file_is_said(tmp_path: Path, supervisor: Supervisor) -> None:
    (tmp_path / "run").mkdir()
    postgres = Postgres(supervisor, data=tmp_path / "data", sockets=tmp_path / "run")
    postgres.start()
    postgres.stop()
    (tmp_path / "data" / "global" / "pg_control").write_bytes(b"no")
    with pytest.raises(LocalError, match=r"make demo RESET=1(.|\n)*pg_control"):
        postgres.start()


def test_the_embedded_broker_keeps_events_and_offsets(tmp_path: Path, supervisor: Supervisor) -> None:
    kafka = EmbeddedKafka(supervisor, address_file=tmp_path / "address", topics={"orders.events": 2})
    kafka.start()
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "enable.idempotence": True, "linger.ms": 0})
    for number in range(10):
        producer.produce("orders.events", key=str(number), value=b"event")
    assert producer.flush(10) == 0
    assert len(read(kafka.bootstrap_servers, 10)) == 10
    producer.produce("orders.events", key="last", value=b"event")
    assert producer.flush(10) == 0
    assert read(kafka.bootstrap_servers, 1) == ["last"]  # from the committed offset on


def read(bootstrap_servers: str, count: int) -> list[str]:
    """Keys of the next so many messages for the group, committed."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "readers",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 2000,
            "heartbeat.interval.ms": 500,
        }
    )
    consumer.subscribe(["orders.events"])
    keys: list[str] = []

    def take() -> bool:
        messages = consumer.consume(count - len(keys), 0.2)
        keys.extend((message.key() or b"").decode() for message in messages if not message.error())
        return len(keys) == count

    waiting.until(take, what=f"{count} messages", timeout_seconds=60)
    consumer.commit(asynchronous=False)
    consumer.close()
    return keys
