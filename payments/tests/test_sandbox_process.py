"""The sandbox gateway as a process: it starts, says what is in the way, stops, and forgets nothing when killed."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from devtools.testing.payments.sandbox_bank import authorize
from kafka_bridge.runtime import waiting
from payments.gateways import Declined, Succeeded, Unknown, signatures
from payments.gateways.sandbox import SandboxGateway
from payments.sandbox.bank import Bank
from payments.sandbox.hooks import HEADER

pytestmark = pytest.mark.money
START_SECONDS, STOP_SECONDS = 60.0, 10.0
SECRET = "process-secret"


def wait_until(condition: Callable[[], object], what: str, seconds: float = START_SECONDS) -> None:
    waiting.until(condition, what=what, timeout_seconds=seconds, every_seconds=0.02)


class Listener:
    """A shop that takes webhooks over HTTP."""

    def __init__(self) -> None:
        received: list[tuple[bytes, str]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                received.append((self.rfile.read(int(self.headers["Content-Length"])), self.headers[HEADER]))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.received = received
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks/payments/"

    def close(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()


class Process:
    """`manage.py run_sandbox_gateway` on a port and a ledger of its own."""

    def __init__(self, folder: Path, webhook_url: str) -> None:
        self.ledger_path = folder / "ledger.sqlite3"
        self.output = folder / "output.txt"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.environment = {
            **os.environ,
            "SANDBOX_URL": f"http://127.0.0.1:{self.port}",
            "SANDBOX_LEDGER_PATH": str(self.ledger_path),
            "SANDBOX_LATENCY_SECONDS": "0",
            "SANDBOX_STALL_SECONDS": "30",
            "SANDBOX_WEBHOOK_URL": webhook_url,
            "PAYMENT_WEBHOOK_SECRETS": SECRET,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it, without waiting."""
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "run_sandbox_gateway"],
                cwd=django_settings.BASE_DIR,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        return self._process

    def wait_ready(self) -> None:
        """Until it answers."""
        wait_until(lambda: self.has_ended or self._answers(), "the gateway")
        assert not self.has_ended, self.output.read_text()

    @property
    def has_ended(self) -> bool:
        """Whether it has."""
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> int:
        """SIGTERM to it alone; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL to it and to what it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        wait_until(lambda: not self._answers(), "its end")

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@pytest.fixture
def listener() -> Iterator[Listener]:
    """One that accepts everything."""
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def process(tmp_path: Path, listener: Listener, settings: Any) -> Iterator[Process]:
    """One that is ready; `settings` lead the client to it."""
    process = Process(tmp_path, listener.url)
    settings.SANDBOX_URL = process.environment["SANDBOX_URL"]
    settings.PAYMENT_TIMEOUT_SECONDS = 2.0
    process.start()
    process.wait_ready()
    yield process
    if not process.has_ended:
        process.kill()


def test_many_callers_one_key_each_and_none_twice(process: Process) -> None:
    """FAILURES 1, on the bank's side, over real connections."""
    gateway = SandboxGateway()
    with ThreadPoolExecutor(20) as pool:
        same = set(pool.map(lambda _: authorize(gateway, key="same"), range(20)))
        own = list(pool.map(lambda n: authorize(gateway, key=f"own {n}"), range(100)))
    assert len(same) == 1
    assert isinstance(same.pop(), Succeeded)
    assert {type(answer) for answer in own} == {Succeeded}
    bank = Bank(process.ledger_path)
    assert len(bank.statement()) == len(bank.entries()) == 101
    bank.close()


def test_killed_outright_it_forgets_nothing(process: Process) -> None:
    gateway = SandboxGateway()
    answer = authorize(gateway, key="before")
    assert isinstance(answer, Succeeded)
    for number in range(3):
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(authorize, gateway, key=f"{number} {n}") for n in range(200)]
            calls[50].result()
            process.kill()
        told = {f"{number} {n}": call.result() for n, call in enumerate(calls)}
        assert any(isinstance(said, Unknown) for said in told.values()), "the kill came too late"
        process.start()
        process.wait_ready()
        # On the connections of the life before, and with the keys of calls of which nobody knows what they did.
        again = {key: authorize(gateway, key=key) for key in told}
        assert {type(said) for said in again.values()} == {Succeeded}
        assert all(again[key] == said for key, said in told.items() if isinstance(said, Succeeded))
    assert authorize(gateway, key="before") == answer
    assert isinstance(gateway.capture(key="c", transaction_id=answer.transaction_id, amount_minor=1999), Succeeded)
    bank = Bank(process.ledger_path)
    assert len(bank.entries()) == len({entry.key for entry in bank.entries()}) == 602
    bank.close()


def test_webhooks_left_by_a_killed_process_are_sent_by_the_next(process: Process, listener: Listener) -> None:
    bank = Bank(process.ledger_path)
    process.kill()
    payment = bank.authorize(key="k", amount_minor=1, currency="USD", card="pm_3ds").payment
    bank.confirm(payment.transaction_id)
    assert listener.received == []
    process.start()
    wait_until(lambda: listener.received, "the webhook")
    [(body, header)] = listener.received
    signatures.verify(body, header, secrets=[SECRET])
    assert json.loads(body)["data"] == {"transaction_id": payment.transaction_id, "key": "k"}
    wait_until(lambda: not bank.due_hooks(limit=1), "its being forgotten")
    bank.close()


def test_a_lost_answer_is_a_time_out_and_a_webhook(process: Process, listener: Listener) -> None:
    gateway = SandboxGateway()
    started = time.monotonic()
    answer = authorize(gateway, "pm_charges_then_times_out", key="lost")
    assert isinstance(answer, Unknown)
    assert "TimeoutError" in answer.detail
    assert time.monotonic() - started < 2.0, "never longer than PAYMENT_TIMEOUT_SECONDS"
    assert isinstance(authorize(gateway, "pm_charges_then_times_out", key="lost"), Succeeded)
    wait_until(lambda: listener.received, "the webhook")


def test_calls_that_stall_leave_room_for_others(process: Process) -> None:
    gateway = SandboxGateway()
    with ThreadPoolExecutor(django_settings.PAYMENT_CONCURRENT_CALLS) as pool:
        stalled = [
            pool.submit(authorize, gateway, "pm_times_out_before", key=f"stalled {n}")
            for n in range(django_settings.PAYMENT_CONCURRENT_CALLS)
        ]
        started = time.monotonic()
        assert authorize(SandboxGateway(), "pm_declined", key="declined") == Declined("card declined")
        assert time.monotonic() - started < 1.5
        assert {type(call.result()) for call in stalled} == {Unknown}


def test_it_stops_when_it_is_told_to_also_with_calls_under_way(process: Process) -> None:
    with ThreadPoolExecutor(2) as pool:
        stalled = [pool.submit(authorize, SandboxGateway(), "pm_times_out_before", key=f"k{n}") for n in range(2)]
        wait_until(lambda: _lost_calls(process) == 2, "both calls to be under way")
        started = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - started < STOP_SECONDS
        assert {type(call.result()) for call in stalled} == {Unknown}
    assert "Traceback" not in process.output.read_text()


def _lost_calls(process: Process) -> int:
    with contextlib.closing(sqlite3.connect(process.ledger_path)) as ledger:
        return int(ledger.execute("SELECT count(*) FROM lost_call").fetchone()[0])


def test_a_taken_port_and_a_wrong_one_are_said(tmp_path: Path) -> None:
    process = Process(tmp_path, "")
    with socket.create_server(("127.0.0.1", process.port)):
        assert process.start().wait(START_SECONDS) == 1
    assert f"port {process.port}: another program listens there" in process.output.read_text()
    process.environment["SANDBOX_URL"] = "http://192.0.2.1:8002"
    assert process.start().wait(START_SECONDS) == 1
    assert "cannot listen on 192.0.2.1, port 8002" in process.output.read_text()
    assert "Traceback" not in process.output.read_text()


def test_a_ledger_that_is_none_is_said(tmp_path: Path) -> None:
    process = Process(tmp_path, "")
    for spoil in (lambda: process.ledger_path.write_text("no ledger " * 100), lambda: _replace(process.ledger_path)):
        spoil()
        assert process.start().wait(START_SECONDS) == 1
    assert process.output.read_text().count("ledger.sqlite3, cannot be used: ") == 2
    assert "Traceback" not in process.output.read_text()


def _replace(file: Path) -> None:
    file.unlink()
    file.mkdir()
