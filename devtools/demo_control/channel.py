"""One JSON object asked, one answered, over a Unix socket in the state folder."""

import contextlib
import json
import logging
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from devtools.local.errors import LocalError
from devtools.local.state_dir import StateDir

log = logging.getLogger(__name__)
NAME = "control.sock"
ASK_SECONDS, TALK_SECONDS = 15.0, 1.0
_BYTES_MAX = 64 * 1024


class NoDemo(Exception):
    """No demo listens: it is not running, or too busy to answer."""

    def __str__(self) -> str:
        return "The demo does not answer: is it running, or busy starting something?"


class Refused(Exception):
    """The demo does not do it; the message says why."""


class Listener:
    """The demo's end. Call `serve` from the thread that supervises."""

    def __init__(self, folder: Path, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """`folder` is for the socket, and private; `answer` may raise `Refused`."""
        self._path, self._answer = folder / NAME, answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def open(self) -> None:
        """Listen."""
        self._path.unlink(missing_ok=True)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        self._socket.listen(8)

    def serve(self) -> None:
        """Answer those who have asked; returns at once where nobody has."""
        while select.select([self._socket], [], [], 0)[0]:
            connection, _ = self._socket.accept()
            with connection, contextlib.suppress(OSError, ValueError):
                connection.settimeout(TALK_SECONDS)
                connection.sendall(json.dumps(self._reply(_read(connection))).encode() + b"\n")

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _reply(self, text: bytes) -> dict[str, Any]:
        try:
            request = json.loads(text)
            if not isinstance(request, dict):
                raise Refused("That is no request.")
            return {"ok": self._answer(request)}
        except (Refused, LocalError) as error:
            return {"refused": str(error)}
        except Exception:
            # Whatever a page has asked, the demo goes on.
            log.exception("what a page asked for could not be done")
            return {"refused": "That could not be done; the demo's terminal says why."}


def ask(request: dict[str, Any]) -> dict[str, Any]:
    """Ask the demo of this state folder.

    Raises:
        NoDemo, Refused: see there.
    """
    try:
        path = StateDir(Path(settings.STATE_DIR)).sockets / NAME
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ASK_SECONDS)
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(_read(connection))
    except (OSError, ValueError, LocalError) as error:
        raise NoDemo(str(error)) from error
    if "refused" in answer:
        raise Refused(answer["refused"])
    found: dict[str, Any] = answer["ok"]
    return found


def _read(connection: socket.socket) -> bytes:
    """One line.

    Raises:
        ValueError: it is too long.
        OSError: it does not come in time.
    """
    text = b""
    while not text.endswith(b"\n"):
        part = connection.recv(4096)
        if not part:
            break
        text += part
        if len(text) > _BYTES_MAX:
            raise ValueError("too long")
    return text
