"""Profiles of running Python processes, by py-spy: where their time goes."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_SAMPLES_PER_SECOND = 200
_PY_SPY = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or "py-spy"


@contextlib.contextmanager
def recorded(pids: Mapping[str, int], folder: str, *, seconds: float) -> Iterator[None]:
    """Profile these processes and their children for so long, each into a file of collapsed stacks; no folder: none.

    What reads such files: speedscope.app, flamegraph.pl.
    """
    recorders = [_record(name, pid, Path(folder), seconds) for name, pid in pids.items()] if folder else []
    try:
        yield
    finally:
        for recorder in recorders:
            recorder.wait(timeout=60)


def _record(name: str, pid: int, folder: Path, seconds: float) -> "subprocess.Popen[bytes]":
    arguments = [
        *(_PY_SPY, "record", "--pid", str(pid), "--subprocesses", "--nonblocking", "--format", "raw"),
        *("--rate", str(_SAMPLES_PER_SECOND), "--duration", str(max(1, round(seconds)))),
        *("--output", str(folder / f"{name}.txt")),
    ]
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
