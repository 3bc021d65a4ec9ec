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
import time
from dataclasses import dataclass

from kafka_bridge.runtime import conf, processes

log = logging.getLogger(__name__)
STOP_SECONDS = 8.0
HEALTHY_SECONDS = 10.0
NEEDS_A_PERSON = 4
"""Exit code of a child that stopped because going on would do harm: it is not started again."""


@dataclass
class Child:
    """One process, and when it may be started again."""

    name: str
    arguments: list[str]
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    failures: int = 0
    start_at: float = 0.0
    is_given_up: bool = False


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
    children, killed = [Child(name, arguments) for name, arguments in commands.items()], 0
    try:
        while not stop.is_set() and not all(child.is_given_up for child in children):
            for child in children:
                if not child.is_given_up:
                    _look_after(child)
            stop.wait(0.2)
    finally:
        killed = _stop_all(children)
    return ExitOutcome(killed=killed, given_up=[child.name for child in children if child.is_given_up])


def _look_after(child: Child) -> None:
    now = time.monotonic()
    if child.process is None:
        if now >= child.start_at:
            # A new process, not a fork: Kafka clients and database connections must not be inherited.
            child.process = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "manage.py", *child.arguments],
                env={**os.environ, **_named(child)},
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            child.started_at = now
        return
    code = child.process.poll()
    if code is None:
        return
    _close_pipe(child.process)
    if code == NEEDS_A_PERSON:
        log.critical("%s ended with exit code %d and is not started again: somebody must look", child.name, code)
        child.process, child.is_given_up = None, True
        return
    child.failures = 1 if now - child.started_at > HEALTHY_SECONDS else child.failures + 1
    pause = processes.backoff(child.failures, first_seconds=1, longest_seconds=30)
    log.warning("%s ended with exit code %d; starting it again in %.0f s", child.name, code, pause)
    child.process, child.start_at = None, now + pause


def _named(child: Child) -> dict[str, str]:
    """What tells the child its name, where the project wants that."""
    variable = conf.current().role_variable
    return {variable: child.name} if variable else {}


def _stop_all(children: list[Child]) -> int:
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.terminate()
    deadline, killed = time.monotonic() + STOP_SECONDS, 0
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        _close_pipe(process)
    return killed


def _close_pipe(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        process.stdin.close()
