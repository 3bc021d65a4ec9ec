"""A real PgBouncer between a test and its PostgreSQL."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from devtools.local.postgres import USER, Postgres
from devtools.testing import tcp_proxy
from kafka_bridge import testing


@contextlib.contextmanager
def running(postgres: Postgres, *, pool_mode: str, folder: Path) -> Iterator[str]:
    """One in this mode (`session`, `transaction`); yields where it is: `host:port`.

    Skips the test where there is none, and fails it in CI.
    """
    binary = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if binary is None:
        (pytest.fail if settings.CI else pytest.skip)("there is no PgBouncer here (apt-get install pgbouncer)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    configuration = folder / f"pgbouncer-{pool_mode}.ini"
    # Through a proxy: it refuses to run as root, and another user may not enter the folder of PostgreSQL's socket.
    with tcp_proxy.proxy_to(str(postgres.sockets / ".s.PGSQL.5432")) as proxy:
        configuration.write_text(
            f"[databases]\n* = host=127.0.0.1 port={proxy.port} user={USER}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = {pool_mode}\nignore_startup_parameters = extra_float_digits\n"
        )
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        process = subprocess.Popen([binary, "-q", *user, configuration])  # noqa: S603 - our own command line
        try:
            testing.wait_until(lambda: _listens(port), what="PgBouncer", timeout_seconds=60)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
