"""Finding out which TCP ports are free."""

import errno
import random
import socket

# Below the range from which systems take ports for outgoing connections: one of those could otherwise sit on a
# server's port just while that server is being restarted.
LOWEST, HIGHEST = 20_000, 32_000


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now.

    Raises:
        OSError: `host` is no address of this machine.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Ports that a server has just left count as free, as they do for the servers themselves.
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
    """So many free loopback ports: the preferred ones where they are free, others at random."""
    picked = [port for port in preferred if is_free(port)][:count]
    while len(picked) < count:
        port = random.randint(LOWEST, HIGHEST)  # noqa: S311 - not a secret
        if port not in picked and is_free(port):
            picked.append(port)
    return picked


def pick_neighbours() -> int:
    """A free loopback port whose next two are free too (the shop's, that of its sockets, and the sandbox gateway's)."""
    while True:
        (port,) = pick(1)
        if is_free(port + 1) and is_free(port + 2):
            return port
