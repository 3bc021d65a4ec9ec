"""What the sockets of a simulation hear; they are in a process of their own, `listening`."""

import subprocess
import sys
import threading
from dataclasses import dataclass

import msgspec
from django.conf import settings

from shop.waiting_room.feeds import RoomState


@dataclass(frozen=True, slots=True)
class Heard:
    """What the first socket to hear it heard, and when, in seconds since 1970."""

    at: float
    state: RoomState


class Listeners:
    """So many sockets on one address. Their thread only appends, which needs no lock."""

    def __init__(self, url: str, count: int) -> None:
        self.heard: list[Heard] = []
        self.over_at: list[float] = []
        """When each socket heard that the last copy is sold."""
        self._command = [sys.executable, "-m", "shop.simulation.queueing.listening", url, str(count)]
        self._process: subprocess.Popen[str]
        self._thread = threading.Thread(target=self._read, name="listeners", daemon=True)

    def start(self) -> None:
        """Open the sockets."""
        self._process = subprocess.Popen(  # noqa: S603 - a program of ours
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=settings.BASE_DIR
        )
        self._thread.start()

    def stop(self) -> None:
        """Close them."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(10)

    def _read(self) -> None:
        for line in self._process.stdout or ():
            at, _, said = line.partition(" ")
            if said.strip() == "over":
                self.over_at.append(float(at))
                continue
            state = msgspec.json.decode(said, type=RoomState)
            # Sockets hear the same one after the other: a slower one's word may come after a newer one.
            if not self.heard or state.served >= self.heard[-1].state.served:
                self.heard.append(Heard(float(at), state))
