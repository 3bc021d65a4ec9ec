"""An HTTP server in this process that takes what is sent to it, refuses it, or says nothing."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass
class HttpReceiver:
    """What it answers, changed by the test at any time, and what it got."""

    url: str = ""
    status: int = 200
    location: str = ""
    """Where it sends callers on to."""
    silent_seconds: float = 0.0
    requests: list[Received] = field(default_factory=list)

    def to(self, path: str) -> list[Received]:
        """The requests for this path."""
        return [request for request in self.requests if request.path == path]


@contextlib.contextmanager
def receiving() -> Iterator[HttpReceiver]:
    """One that runs meanwhile."""
    state = HttpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.requests.append(Received(self.command, self.path, headers, body))
            time.sleep(state.silent_seconds)
            self.send_response(state.status)
            if state.location:
                self.send_header("Location", state.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        yield state
        server.shutdown()
