"""A broker that is started once so that others start quickly: its classes are kept as a JVM has them in memory.

Half of what a broker computes until it serves is the loading of its classes. Application class-data sharing,
https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html; a JVM ignores an archive that does not fit it.
"""

import fcntl
import shutil
from pathlib import Path

from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.local.kafka.kafka_jars import Jars
from devtools.local.supervisor import Supervisor

_ENDS_WITHIN_SECONDS = 60


def ensure(jars: Jars, supervisor: Supervisor, *, folder: Path) -> None:
    """Make the archive of these jars unless there is one, which takes some ten seconds; `folder` is for a while.

    Raises:
        LocalError: the broker does not start.
        Stopped: told to stop meanwhile.
    """
    if jars.archive.exists():
        return
    # Test processes that start side by side: the first one makes it, the others wait and find it done.
    with (jars.folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.archive.exists():
            _rehearse(jars, supervisor, folder)


def _rehearse(jars: Jars, supervisor: Supervisor, folder: Path) -> None:
    draft = jars.archive.with_suffix(".new")
    draft.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    option = f"-XX:ArchiveClassesAtExit={draft}"
    broker = ApacheKafka(supervisor, folder=folder, jars=jars, name="rehearsal", java_options=(option,))
    broker.start()
    broker.stop(within_seconds=_ENDS_WITHIN_SECONDS)
    shutil.rmtree(folder)
    if draft.exists():
        draft.replace(jars.archive)
