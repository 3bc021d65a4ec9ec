"""A mail server (SMTP) in this process that can be slow, silent, or refuse."""

import contextlib
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class MailServer:
    """What it does, changed by the test at any time, and what it took."""

    port: int = 0
    seconds_a_mail: float = 0.0
    is_silent: bool = False
    """Takes connections and says nothing."""
    refused: dict[str, str] = field(default_factory=dict)
    """The reply to a recipient, such as `550 no such user`, by what its address contains."""
    taken: list[str] = field(default_factory=list)
    """The recipient of each mail that was accepted, in sequence."""
    texts: list[str] = field(default_factory=list)
    """Each of these mails, with its headers."""


@contextlib.contextmanager
def serving(settings: Any) -> Iterator[MailServer]:
    """One that runs meanwhile, and is the shop's."""
    with running() as state:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", state.port, 10
        yield state


@contextlib.contextmanager
def running() -> Iterator[MailServer]:
    """One that runs meanwhile."""
    state = MailServer()

    class Dialogue(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                _talk(state, self.rfile, self.wfile)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dialogue) as server:
        server.daemon_threads = True
        state.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        yield state
        server.shutdown()


def _talk(state: MailServer, read: Any, write: Any) -> None:
    if state.is_silent:
        read.read()
        return
    write.write(b"220 test\r\n")
    recipient = ""
    while line := read.readline().decode().strip():
        match line[:4].upper():
            case "EHLO" | "HELO" | "MAIL" | "RSET":
                reply = "250 ok"
            case "RCPT":
                recipient = line.partition("<")[2].rstrip(">")
                reply = next((said for part, said in state.refused.items() if part in recipient), "250 ok")
            case "DATA":
                write.write(b"354 go on\r\n")
                lines = []
                while (part := read.readline()) not in (b".\r\n", b""):
                    lines.append(part)
                time.sleep(state.seconds_a_mail)
                state.taken.append(recipient)
                state.texts.append(b"".join(lines).decode())
                reply = "250 taken"
            case "QUIT":
                reply = "221 bye"
            case _:
                reply = "502 what?"
        write.write(f"{reply}\r\n".encode())
