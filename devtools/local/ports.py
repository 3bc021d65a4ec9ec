"""Finding free TCP ports."""

import errno
import random
import socket

# Below the ephemeral range: an outgoing connection could otherwise take a server's port while it is being restarted.
LOWEST, HIGHEST = 20_000, 32_000


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now.

    Raises:
        OSError: `host` is not an address of this machine.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Ports in TIME_WAIT count as free, as they do for the servers themselves.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def pick(count: int, *, preferred: tuple[int, ...] = ()) -> list[int]:
    """This many free loopback ports: the preferred ones if they are free, else random ones."""
    picked = [port for port in preferred if is_free(port)][:count]
    while len(picked) < count:
        port = random.randint(LOWEST, HIGHEST)  # noqa: S311 - not a secret
        if port not in picked and is_free(port):
            picked.append(port)
    return picked


def pick_neighbours(count: int = 3) -> int:
    """A free loopback port followed by others; three are for the shop, its sockets and the sandbox gateway."""
    while True:
        (port,) = pick(1)
        if all(is_free(port + further) for further in range(1, count)):
            return port
