"""An address on loopback behind which everything is dropped: who connects there is never answered, nor refused."""

import contextlib
import errno
import select
import socket
from collections.abc import Iterator

HOST = "127.0.0.1"
_GIVEN_UP_SECONDS = 0.3
_MOST = 64


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port of that kind while the block runs.

    Nobody accepts connections there, and the system's queue of those that wait is full: it drops all that comes.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((HOST, 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        for _ in range(_MOST):
            if not _gets_in(stack.enter_context(socket.socket()), port):
                yield port
                return
        raise AssertionError("the queue is never full")


def _gets_in(client: socket.socket, port: int) -> bool:
    client.setblocking(False)
    assert client.connect_ex((HOST, port)) == errno.EINPROGRESS
    return bool(select.select([], [client], [], _GIVEN_UP_SECONDS)[1])
