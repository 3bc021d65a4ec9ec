"""A TCP proxy that a test can freeze: connections stay, and nothing passes any more, like a network that drops all."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator


class TcpProxy:
    """Leads from a port on loopback to a TCP address, or to a Unix socket."""

    def __init__(self, target: "tuple[str, int] | str") -> None:
        self._target = target
        self._flows = threading.Event()
        self._flows.set()
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Nothing passes; the kernel goes on accepting connections and bytes, so nobody is told."""
        self._flows.clear()

    def thaw(self) -> None:
        """What waited passes."""
        self._flows.set()

    def close(self) -> None:
        """No new connections; those that there are end."""
        self._stop.set()
        self._flows.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._stop.is_set():
                here, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=[here], daemon=True).start()

    def _pass_on(self, here: socket.socket) -> None:
        self._flows.wait()
        with here, self._connect() as there, contextlib.suppress(OSError):
            other = {here: there, there: here}
            while not self._stop.is_set():
                for ready in select.select([here, there], [], [], 0.2)[0]:
                    self._flows.wait()
                    if not (data := ready.recv(65536)):
                        return
                    other[ready].sendall(data)

    def _connect(self) -> socket.socket:
        if isinstance(self._target, tuple):
            return socket.create_connection(self._target, timeout=5)
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(self._target)
        return connected


@contextlib.contextmanager
def proxy_to(target: "tuple[str, int] | str") -> Iterator[TcpProxy]:
    """One that runs meanwhile."""
    proxy = TcpProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
