"""Several consumers as child processes: started, restarted with backoff, stopped together.

# Note [Orphans]
A parent that is killed cannot stop its children. So each of them reads from a pipe whose other end only the parent has,
and that the kernel closes with it: a child that is told so (`--until-eof`) stops by itself when its input ends.
"""

import logging
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import partial

from kafka_bridge.runtime import child_processes, conf
from kafka_bridge.runtime.child_processes import Child, Process, RestartPolicy

log = logging.getLogger(__name__)
STOP_SECONDS = 8.0
RESTART = RestartPolicy(first_seconds=1, longest_seconds=30, healthy_seconds=10)
NEEDS_A_PERSON = 4
"""Exit code of a child that stopped because going on would do harm: it is not started again."""


@dataclass(frozen=True)
class ExitOutcome:
    """How it ended."""

    killed: int
    """Children that did not stop in time."""
    given_up: list[str]
    """Children that stopped for good by themselves, and wait for a person."""


def supervise(commands: dict[str, list[str]], stop: threading.Event) -> ExitOutcome:
    """Keep these `manage.py` commands running until told to stop, or until none is left that may be started again.

    Their standard input is a pipe that ends with this process; see Note [Orphans].
    """
    children = [
        Child(name, partial(_spawn, arguments, _environment(name, number)), RESTART)
        for number, (name, arguments) in enumerate(commands.items())
    ]
    given_up: set[str] = set()
    try:
        while not stop.is_set() and len(given_up) < len(children):
            for child in children:
                if child.name not in given_up:
                    child.start_if_due()
                    if _has_given_up(child):
                        given_up.add(child.name)
            # Looked at, not waited for: there are several, and `stop` must be heard as well.
            stop.wait(0.2)
    finally:
        killed = child_processes.stop_together(
            [child.process for child in children if child.process is not None],
            within_seconds=STOP_SECONDS,
            ask=subprocess.Popen.terminate,
            end=_end,
        )
    return ExitOutcome(killed=killed, given_up=[name for name in commands if name in given_up])


def _has_given_up(child: Child) -> bool:
    """Look whether it has ended; True if it did so for good."""
    code = child.exit_code()
    if code is None or child.process is None:
        return False
    # Each restart would leave one behind otherwise, until no descriptor is left.
    _close_pipe(child.process)
    if code == NEEDS_A_PERSON:
        log.critical("%s ended with exit code %d and is not started again: a person must look", child.name, code)
        child.process = None
        return True
    pause = child.note_end()
    log.warning("%s ended with exit code %d; starting it again in %.0f s", child.name, code, pause)
    return False


def _spawn(arguments: list[str], environment: dict[str, str]) -> Process:
    # A new process, not a fork: Kafka clients and database connections must not be inherited.
    return subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "manage.py", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        # Or Ctrl-C in a terminal would reach the children beside the SIGTERM that they get from here.
        start_new_session=True,
    )


def _environment(name: str, number: int) -> dict[str, str]:
    """What tells the child its name, and where to show its metrics, where the project wants that."""
    options = conf.current()
    told = {}
    if options.role_variable:
        told[options.role_variable] = name
    if options.metrics_port_variable and options.metrics_port:
        told[options.metrics_port_variable] = str(options.metrics_port + number)
    return told


def _end(process: Process) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    _close_pipe(process)


def _close_pipe(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
