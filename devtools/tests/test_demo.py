"""`manage.py demo` as a person meets it: a process, its words, its exit code, and what it leaves behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from devtools.local import ports
from devtools.local.roles import PROJECT
from devtools.testing.services import Services
from kafka_bridge.runtime import waiting

READY_SECONDS = 240  # the machine may be busy with other tests
STOP_SECONDS = 10


class DemoProcess:
    """A demo on a state folder of its own."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port = ports.pick_neighbours()
        self.output = state.with_suffix(".txt")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Start it, without waiting."""
        command = [sys.executable, "manage.py", "demo", "--port", str(self.port), "--kafka", "embedded", *arguments]
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                command, cwd=PROJECT, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    @property
    def environment(self) -> dict[str, str]:
        """Ours without what points at the services of the test run."""
        mine = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_SERVERS"))}
        return mine | {"BOOKRUSH_STATE_DIR": str(self.state)}

    @property
    def printed(self) -> str:
        """What it has said so far."""
        return self.output.read_text()

    def wait_ready(self) -> None:
        """Until it says so."""
        self._wait(lambda: "\nReady\n" in self.printed or self.has_ended, "the demo", READY_SECONDS)
        assert "\nReady\n" in self.printed, self.printed

    def wait_end(self, timeout_seconds: float = READY_SECONDS) -> int:
        """Its exit code."""
        self._wait(lambda: self.has_ended, "the demo's end", timeout_seconds)
        assert self._process is not None
        return self._process.wait()

    @property
    def has_ended(self) -> bool:
        """Whether it has."""
        return self._process is not None and self._process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """To the demo alone, not to what it started."""
        assert self._process is not None
        self._process.send_signal(number)

    def processes(self) -> list[int]:
        """Everything alive that has the state folder in its arguments or its environment."""
        needle = str(self.state).encode()
        return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if needle in _words(folder)]

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command typed in a second terminal."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(  # noqa: S603 - our own command line
            command, cwd=PROJECT, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )

    def _wait(self, condition: Callable[[], object], what: str, timeout_seconds: float) -> None:
        try:
            waiting.until(condition, what=what, timeout_seconds=timeout_seconds)
        except TimeoutError:
            pytest.fail(f"{what} took too long; it said:\n{self.printed}")


def _words(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
    except OSError:  # it ended meanwhile, or is a zombie
        return b""


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoProcess]:
    """A demo, not started; whatever happens, nothing of it is left."""
    process = DemoProcess(tmp_path / "state")
    yield process
    if not process.has_ended and process.output.exists():
        process.send(signal.SIGKILL)
    waiting.until(lambda: not process.processes(), what="the end of the demo's processes", timeout_seconds=60)


@pytest.mark.slow
def test_a_demo_from_start_to_end(demo: DemoProcess) -> None:
    demo.start()
    demo.wait_ready()
    with httpx.Client(base_url=f"http://127.0.0.1:{demo.port}") as http:
        assert http.get("/healthz").status_code == 200
        assert "Bookrush" in http.get("/").text
    assert httpx.get(f"http://127.0.0.1:{demo.port + 2}/healthz").status_code == 200
    assert f"http://localhost:{demo.port + 2}/" in demo.printed
    assert (demo.state / "webhook-secret").stat().st_mode & 0o777 == 0o600
    assert (demo.state / "demo.env").stat().st_mode & 0o777 == 0o600

    # a second terminal talks to it
    listing = demo.manage("migrate", "--check")
    assert listing.returncode == 0, listing.stderr

    # a second demo on the same folder says who has it
    second = DemoProcess(demo.state)
    second.output = demo.output.with_name("second.txt")
    second.start()
    assert second.wait_end() == 1
    assert f"at http://localhost:{demo.port}/" in second.printed
    assert "stop it first" in second.printed

    # killed outright, it leaves nothing behind, and the next start finds its data
    demo.send(signal.SIGKILL)
    waiting.until(
        lambda: not demo.processes(), what="the end of a killed demo's processes", timeout_seconds=STOP_SECONDS
    )
    demo.start()
    demo.wait_ready()
    assert "All books exist already" in demo.printed

    # told to stop, twice, it stops cleanly and in time
    started = time.monotonic()
    demo.send(signal.SIGTERM)
    demo.send(signal.SIGINT)
    assert demo.wait_end() == 0
    assert time.monotonic() - started < STOP_SECONDS
    assert demo.processes() == []
    assert not (demo.state / "demo.env").exists()


@pytest.mark.parametrize("offset", [0, 1, 2], ids=["the shop's", "the sockets'", "the gateway's"])
def test_a_taken_port_is_said(demo: DemoProcess, offset: int) -> None:
    with socket.create_server(("127.0.0.1", demo.port + offset)):
        demo.start()
        assert demo.wait_end() == 1
    assert f"Port {demo.port + offset}" in demo.printed
    assert f"make demo PORT={demo.port + 100}" in demo.printed
    assert "Traceback" not in demo.printed


def test_broken_data_is_said_and_a_reset_is_offered(demo: DemoProcess) -> None:
    (demo.state / "postgres").mkdir(parents=True)
    (demo.state / "postgres" / "PG_VERSION").write_text("1")
    demo.start()
    assert demo.wait_end() == 1
    assert "make demo RESET=1" in demo.printed
    assert "Traceback" not in demo.printed


@pytest.mark.kafka
def test_broken_kafka_data_is_said_and_a_reset_is_offered(demo: DemoProcess, services: Services) -> None:
    (demo.state / "kafka" / "single" / "broker-1" / "data").mkdir(parents=True)
    (demo.state / "kafka" / "single" / "broker-1" / "data" / "meta.properties").write_text("garbage")
    (demo.state / "java").symlink_to(services.jars.folder.parent)
    demo.start("--kafka", "single")
    assert demo.wait_end() == 1
    assert "make demo RESET=1" in demo.printed
    assert "Traceback" not in demo.printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kafka", "docker"], "takes auto, embedded, single, cluster, or servers"),
        (["--kafka", "127.0.0.1:1"], "No Kafka answers at 127.0.0.1:1"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--host", "::1"], "takes a name or an IPv4 address"),
        (["--port", "65534"], "takes a number from 1 to 65533"),
    ],
)
def test_a_wrong_option_is_said(demo: DemoProcess, arguments: list[str], said: str) -> None:
    demo.start(*arguments)
    assert demo.wait_end() == 1
    assert said in demo.printed
    assert "Traceback" not in demo.printed


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    demo = DemoProcess(tmp_path / "file" / "state")
    demo.output = tmp_path / "printed.txt"
    demo.start()
    assert demo.wait_end() == 1
    assert "BOOKRUSH_STATE_DIR" in demo.printed
    assert "Traceback" not in demo.printed
