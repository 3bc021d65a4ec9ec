"""What the figures were measured on, and what processes take of it."""

import os
import platform
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_KIB = 1024
_DESCRIBE = ("git", "describe", "--always", "--dirty")


def facts() -> dict[str, str]:
    """The machine and the versions that matter, without the services."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0
    packages = ("Django", "granian", "psycopg", "confluent-kafka", "msgspec")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "cores": str(cores),
        "processor": _processor(),
        "load": f"{os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def commit() -> str:
    """What is measured, as git names it; empty where there is no git."""
    try:
        named = subprocess.run(_DESCRIBE, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""
    return named.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def memory_mib(roots: Mapping[str, int]) -> dict[str, float]:
    """Memory of each process and all its descendants, by the name it is given here, in MiB.

    Where Linux tells it, each process counts its share of pages that several use (PSS); elsewhere it is the resident
    size.
    """
    families, resident = _families(roots)
    return {
        name: sum(_proportional_kib(pid) or resident.get(pid, 0) for pid in pids) / _KIB
        for name, pids in families.items()
    }


def processor_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """Processor time that each process and all its descendants have taken so far; 0 where the system does not tell.

    Unlike a latency it hardly depends on what else the machine is doing.
    """
    families, _ = _families(roots)
    return {name: sum(map(_processor_seconds, pids)) for name, pids in families.items()}


def _families(roots: Mapping[str, int]) -> tuple[dict[str, list[int]], dict[int, int]]:
    """Each process with all its descendants, by the name it is given; and every process's resident KiB."""
    children: dict[int, list[int]] = defaultdict(list)
    resident: dict[int, int] = {}
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True)  # noqa: S607
    for line in listing.stdout.splitlines():
        pid, parent, kib = map(int, line.split())
        children[parent].append(pid)
        resident[pid] = kib
    return {name: list(_family(pid, children)) for name, pid in roots.items()}, resident


def _family(pid: int, children: Mapping[int, list[int]]) -> Iterator[int]:
    yield pid
    for child in children.get(pid, ()):
        yield from _family(child, children)


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    # utime, stime, and those of children that have ended (proc(5), counted from the state on).
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _proportional_kib(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), None)
