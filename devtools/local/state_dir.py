"""The folder that holds everything a demo or a test run keeps on this machine."""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from devtools.local.errors import LocalError

LEAST_FREE_BYTES = 1024**3
# A socket's whole path must fit into 108 bytes on Linux (104 on macOS); the longest name in the folder has 20.
LONGEST_SOCKET_FOLDER = 80
# Long enough for what a killed demo leaves behind to be ended by its warden.
LOCK_PATIENCE_SECONDS = 12.0
RESET_ADVICE = "If the data can go, run `make demo RESET=1` (manage.py demo --reset)"


class StateDir:
    """A folder, its parts, and the lock that lets only one supervisor use it."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.run = self.path / "run"
        self._lock = -1

    def open(self, *, note: str) -> None:
        """Make the folder and take its lock; `note` tells others who has it.

        Raises:
            LocalError: it cannot be written, another process uses it, or the disk is nearly full.
        """
        try:
            for folder in (self.path, self.logs, self.run):
                folder.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LocalError(
                f"The state folder {self.path} cannot be written ({error.strerror}): "
                "make it yours, or name another one in BOOKRUSH_STATE_DIR."
            ) from error
        self._take_lock(note)
        free = shutil.disk_usage(self.path).free
        if free < LEAST_FREE_BYTES:
            self.close()
            raise disk_full(self.path)

    def close(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def try_lock(self) -> bool:
        """Take the lock if nobody has it, without waiting (the folder is made if needed)."""
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def remove(self, *names: str) -> None:
        """Delete these parts of the folder, whether they are there or not.

        Raises:
            LocalError: they belong to somebody else.
        """
        for name in names:
            target = self.path / name
            try:
                if target.is_dir() and not target.is_symlink():
                    shutil.rmtree(target)
                else:
                    target.unlink(missing_ok=True)
            except PermissionError as error:
                raise LocalError(
                    f"{error.filename} belongs to another user (was Bookrush run as root before?): delete it as that "
                    "user, or name another folder in BOOKRUSH_STATE_DIR."
                ) from error

    @property
    def sockets(self) -> Path:
        """A folder for Unix sockets that only this user may enter; elsewhere if this folder's path is too long.

        Raises:
            LocalError: somebody else made the one elsewhere.
        """
        if len(os.fsencode(self.run)) <= LONGEST_SOCKET_FOLDER:
            return self.run
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"bookrush-{os.getuid()}-{name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise LocalError(f"{folder} belongs to somebody else: delete it, or clone Bookrush into a shorter path.")
        return folder

    def _take_lock(self, note: str) -> None:
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            with contextlib.suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            holder = os.pread(self._lock, 1000, 0).decode(errors="replace").strip()
            pid = holder.split(" ", 1)[0]
            # A holder that is gone was killed, and its children are being ended just now: that takes seconds.
            if time.monotonic() > deadline or (pid.isdigit() and _is_alive(int(pid))):
                self.close()
                raise LocalError(
                    f"Another Bookrush already runs on {self.path} (process {holder or 'unknown'}): stop that one "
                    "first, or name another folder in BOOKRUSH_STATE_DIR."
                )
            time.sleep(0.1)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()} {note}\n".encode(), 0)

    @property
    def lock_descriptor(self) -> int:
        """To be inherited by the warden: the folder is in use until the last child has ended."""
        return self._lock


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def is_full(path: Path) -> bool:
    """Whether hardly anything can be written there any more."""
    return shutil.disk_usage(path).free < 16 * 1024**2


def disk_full(path: Path) -> LocalError:
    """The error for a disk on which too little is left."""
    return LocalError(
        f"The disk of {path} is full (less than {LEAST_FREE_BYTES // 1024**2} MiB free): free some space, "
        "or name a folder on another disk in BOOKRUSH_STATE_DIR."
    )


@contextlib.contextmanager
def translating_full_disk(path: Path) -> Iterator[None]:
    """Let a full disk be said in words.

    Raises:
        LocalError: something inside ran out of disk space.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(path) from error
        raise
