"""The shop's own processes: web, live sockets, relay, consumers, timekeeper; and the sandbox gateway."""

import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from devtools.local.supervisor import Command, Supervisor
from kafka_bridge.consuming import consumer_groups

PROJECT = Path(__file__).parents[2]
WEB, LIVE, RELAY, TIMEKEEPER, GATEWAY = "web", "live", "relay", "timekeeper", "gateway"
SANDBOX = "payments.gateways.sandbox.SandboxGateway"
ANY_HOST = "0.0.0.0"  # noqa: S104 - compared with, not bound
# Our pages send frames of less than a hundred bytes.
FRAME_LIMIT_BYTES = "4096"
# What slow clients may hold; the rest is in shop/site/web.py, Note [A thread only for a whole request].
WEB_BOUNDS = (
    "--http=1",
    "--http1-header-read-timeout=10000",
    "--http1-buffer-size=65536",
    "--backlog=4096",
    "--backpressure=4096",
)


@dataclass(frozen=True)
class Role:
    """One process: its arguments to Python, and how to check that it is ready."""

    name: str
    arguments: list[str]
    is_ready: Callable[[], bool]


class Roles:
    """The roles of one shop under one supervisor."""

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        host: str,
        port: int,
        environment: Mapping[str, str],
        run: Path,
        accounts: Mapping[str, Mapping[str, str]] | None = None,
        metrics_port: int = 0,
    ) -> None:
        """Live sockets use the port after `port`; the sandbox gateway, if it is in use, the next one. The folder `run`
        is for the files with which roles signal that they are ready. `accounts` are environment variables of single
        roles, by which they sign in. The first role shows its metrics on `metrics_port`, each other one on the next
        port; on 0 none does.
        """
        self._accounts = accounts or {}
        self._supervisor = supervisor
        self._host, self._port = host, port
        self._environment = environment
        self._run = run
        self._metrics_port = metrics_port
        # The gateway first, because payments calls it.
        gateway = [GATEWAY] if environment.get("PAYMENT_GATEWAY", settings.PAYMENT_GATEWAY) == SANDBOX else []
        self.names = [*gateway, WEB, LIVE, RELAY, *group_names(), TIMEKEEPER]

    def start(self, *names: str) -> None:
        """Start these roles (default: all) without waiting."""
        for name in names or self.names:
            self._ready_file(name).unlink(missing_ok=True)
            environment = {
                **self._environment,
                **self._accounts.get(name, {}),
                "BOOKRUSH_ROLE": name,
                "BOOKRUSH_READY_FILE": str(self._ready_file(name)),
                "BOOKRUSH_ALIVE_FILE": str(self._run / f"{name}.alive"),
                "METRICS_PORT": str(self.metrics_port(name)),
                "PYTHONUNBUFFERED": "1",
            }
            arguments = [sys.executable, *self._role(name).arguments]
            self._supervisor.start(Command(name=name, arguments=arguments, environment=environment, folder=PROJECT))

    def wait_ready(self, *names: str, timeout_seconds: float = 60) -> None:
        """Wait until these roles (default: all) are ready.

        Raises:
            LocalError: a role ended or took too long.
            Stopped: a stop was requested.
        """
        for name in names or self.names:
            self._supervisor.wait_ready(name, self._role(name).is_ready, timeout_seconds=timeout_seconds)

    def stop(self, *names: str, within_seconds: float = 10) -> None:
        """Send SIGTERM to these roles (default: all), and SIGKILL to those that take longer."""
        self._supervisor.stop(*(names or self.names), within_seconds=within_seconds)

    def metrics_port(self, name: str) -> int:
        """Where a role shows its metrics; 0 where it does not, as the sandbox gateway never does."""
        if name == GATEWAY or not self._metrics_port:
            return 0
        return self._metrics_port + [role for role in self.names if role != GATEWAY].index(name)

    def metrics_addresses(self) -> dict[str, str]:
        """By role, the host and port where it shows its metrics."""
        return {name: f"127.0.0.1:{port}" for name in self.names if (port := self.metrics_port(name))}

    def kill(self, name: str) -> None:
        """SIGKILL one role."""
        self._supervisor.kill(name)

    def _role(self, name: str) -> Role:
        if name == WEB:
            return Role(
                name, web_arguments(self._host, self._port), lambda: answers(f"{self._local(self._port)}/healthz")
            )
        if name == LIVE:
            return Role(
                name, _live(self._host, self._port + 1), lambda: answers(self._local(self._port + 1), any_status=True)
            )
        if name == GATEWAY:
            port = self._port + 2
            return Role(name, _gateway(self._host, port), lambda: answers(f"{self._local(port)}/healthz"))
        arguments = {RELAY: ["run_relay"], TIMEKEEPER: ["run_timekeeper"]}.get(name, ["run_consumer", name])
        return Role(name, ["manage.py", *arguments], self._ready_file(name).exists)

    def _ready_file(self, name: str) -> Path:
        return self._run / f"{name}.ready"

    def _local(self, port: int) -> str:
        return local_url(self._host, port)


def local_url(host: str, port: int) -> str:
    """The URL at which processes on this machine reach a server."""
    return f"http://{'127.0.0.1' if host == ANY_HOST else host}:{port}"


def group_names() -> Iterable[str]:
    """Every group that any app has handlers for, and the one that stores dead letters."""
    return [subscriber.name for subscriber in consumer_groups.all_groups()]


def answers(url: str, *, any_status: bool = False) -> bool:
    """Whether a GET is answered with 200 (or at all)."""
    # Never through a proxy of the environment: the address is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            return any_status or response.status == 200
    except urllib.error.HTTPError:
        return any_status
    except OSError:
        return False


def web_arguments(host: str, port: int, *, workers: int = 1) -> list[str]:
    """Of Python, to serve pages there."""
    return [
        *("-m", "granian", "--interface", "rsgi", "--host", host, "--port", str(port), "--no-ws"),
        *WEB_BOUNDS,
        *("--workers", str(workers), "--respawn-failed-workers", "--workers-kill-timeout", "3"),
        *("--log-level", "warning", "shop.rsgi:application"),
    ]


def _live(host: str, port: int) -> list[str]:
    return [
        *("-m", "shop.live.server", "-b", host, "-p", str(port), "--no-server-name", "-v", "0"),
        *("--websocket-max-message-size", FRAME_LIMIT_BYTES, "--websocket-max-frame-size", FRAME_LIMIT_BYTES),
        "shop.asgi:application",
    ]


def _gateway(host: str, port: int) -> list[str]:
    return ["manage.py", "run_sandbox_gateway", "--host", host, "--port", str(port)]
