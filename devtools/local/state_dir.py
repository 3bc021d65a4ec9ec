"""The state folder, with everything that a demo or a test run stores on this machine."""

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
# Long enough for the reaper to end what a killed demo has left behind.
LOCK_PATIENCE_SECONDS = 12.0
RESET_ADVICE = "If the data can go, run `make demo RESET=1` (manage.py demo --reset)"


class StateDir:
    """The folder, its parts, and the lock that allows only one supervisor to use it."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.run = self.path / "run"
        self._lock = -1

    def open(self, *, note: str) -> None:
        """Create the folder and take its lock; `note` tells other processes who has it.

        Raises:
            LocalError: it cannot be written, another process is using it, or the disk is nearly full.
        """
        try:
            for folder in (self.path, self.logs, self.run):
                folder.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LocalError(
                f"The state folder {self.path} cannot be written ({error.strerror}): "
                "change its owner, or set BOOKRUSH_STATE_DIR to another one."
            ) from error
        self._take_lock(note)
        free = shutil.disk_usage(self.path).free
        if free < LEAST_FREE_BYTES:
            self.close()
            raise disk_full(self.path)

    def close(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def try_lock(self) -> bool:
        """Take the lock if it is free, without waiting; creates the folder if necessary."""
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
        """Delete these parts of the folder, if they exist.

        Raises:
            LocalError: they belong to another user.
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
        """A private folder for Unix sockets; in the system's temporary folder if this folder's path is too long.

        Raises:
            LocalError: the one in the temporary folder belongs to another user.
        """
        if len(os.fsencode(self.run)) <= LONGEST_SOCKET_FOLDER:
            return self.run
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"bookrush-{os.getuid()}-{name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise LocalError(f"{folder} belongs to another user: delete it, or clone Bookrush into a shorter path.")
        return folder

    def _take_lock(self, note: str) -> None:
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            with contextlib.suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            holder = os.pread(self._lock, 1000, 0).decode(errors="replace").strip()
            pid = holder.split(" ", 1)[0]
            # If the holder is gone, it was killed, and the reaper is ending its children: that takes seconds.
            if time.monotonic() > deadline or (pid.isdigit() and _is_alive(int(pid))):
                self.close()
                raise LocalError(
                    f"Another Bookrush is already running in {self.path} (process {holder or 'unknown'}): stop it "
                    "first, or set BOOKRUSH_STATE_DIR to another folder."
                )
            time.sleep(0.1)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()} {note}\n".encode(), 0)

    @property
    def lock_descriptor(self) -> int:
        """For the reaper to inherit, so that the folder stays locked until the last child has ended."""
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
    """Whether there is hardly any space left."""
    return shutil.disk_usage(path).free < 16 * 1024**2


def disk_full(path: Path) -> LocalError:
    """The error for a disk with too little free space."""
    return LocalError(
        f"The disk of {path} is full (less than {LEAST_FREE_BYTES // 1024**2} MiB free): free some space, "
        "or name a folder on another disk in BOOKRUSH_STATE_DIR."
    )


@contextlib.contextmanager
def translating_full_disk(path: Path) -> Iterator[None]:
    """Turn the error of a full disk into a message.

    Raises:
        LocalError: the block ran out of disk space.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(path) from error
        raise
