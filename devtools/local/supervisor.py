"""Starts child processes, keeps them running, and leaves none behind.

# Note [No process left]
Each child leads a process group of its own, so Ctrl-C in a terminal reaches only the supervisor, which stops its
children in order. Should the supervisor die without having done so (kill -9, out of memory), two things end them: the
reaper, a small process that notices the end of a pipe, and on Linux the kernel itself (`setpriv --pdeathsig`).
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devtools.local import reaper
from devtools.local.errors import LocalError
from kafka_bridge.runtime import child_processes, waiting
from kafka_bridge.runtime.child_processes import Process, RestartPolicy

RESTART = RestartPolicy(first_seconds=0.5, longest_seconds=10, healthy_seconds=20)
LOG_KEEP_BYTES = 5 * 1024 * 1024
SETPRIV = shutil.which("setpriv") if sys.platform == "linux" else None


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to run: a name (also of its log), arguments, additional environment, and the signal that stops it."""

    name: str
    arguments: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    folder: Path | None = None
    sets_own_death_signal: bool = False
    """Whether the arguments already include `setpriv --pdeathsig`."""


class Child(child_processes.Child):
    """A command that runs, or shall run again."""

    def __init__(self, command: Command, spawn: Callable[[], Process], on_end: Callable[[], None] | None) -> None:
        super().__init__(command.name, spawn, RESTART)
        self.command = command
        self.on_end = on_end


class Supervisor:
    """Supervises child processes. Call it from one thread: the kernel signals a child when its parent *thread* ends."""

    def __init__(
        self,
        *,
        logs: Path,
        stop: threading.Event = waiting.NEVER,
        say: Callable[[str], None] = lambda _: None,
        held: Sequence[int] = (),
    ) -> None:
        """Create a supervisor without children.

        `logs` is the folder for log files, `stop` ends every wait early, `say` gets a line when a child ends, and
        `held` are file descriptors of locks that stay open until the last child has ended, even if we are killed.
        """
        self._held = held
        self.logs = logs
        self.stop_requested = stop
        self._say = say
        self._children: dict[str, Child] = {}
        self._reaper: Process | None = None

    # -- one child --------------------------------------------------------------------------------
    def start(self, command: Command, *, on_end: Callable[[], None] | None = None) -> None:
        """Start a child. Should it end by itself, `look_after` starts it again, or calls `on_end` if there is one."""
        child = Child(command, lambda: self._spawn(command), on_end)
        child.start()
        self._children[command.name] = child

    def wait_ready(self, name: str, condition: Callable[[], object], *, timeout_seconds: float = 60) -> None:
        """Wait until the child is ready.

        Raises:
            LocalError: it ended or took too long; the message has the end of its log.
            Stopped: a stop was requested.
        """
        process = self._running(name)

        def ready_or_ended() -> bool:
            return bool(condition()) or process.poll() is not None

        try:
            waiting.until(ready_or_ended, what=name, timeout_seconds=timeout_seconds, stop=self.stop_requested)
        except TimeoutError as error:
            raise LocalError(f"{name} was not ready after {timeout_seconds:g} s. {self.hint(name)}") from error
        if process.poll() is not None:
            raise LocalError(f"{name} ended while starting (exit code {process.returncode}). {self.hint(name)}")

    @property
    def names(self) -> list[str]:
        """The children that are running or waiting to be restarted."""
        return list(self._children)

    def is_running(self, name: str) -> bool:
        """Whether the child is running."""
        child = self._children.get(name)
        return child is not None and child.process is not None and child.process.poll() is None

    def pid(self, name: str) -> int:
        """The child's process id.

        Raises:
            LookupError: it is not running.
        """
        return self._running(name).pid

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the child's process group.

        Raises:
            LookupError: it is not running.
        """
        os.killpg(self.pid(name), number)

    def kill(self, name: str) -> None:
        """SIGKILL the child and wait for its end; it is not restarted."""
        child = self._children.pop(name)
        if child.process is not None:
            self._end([child], within_seconds=0)

    def stop(self, *names: str, within_seconds: float = 10) -> None:
        """Stop these children together, by force if they take too long; they are not restarted."""
        children = [self._children.pop(name) for name in names if name in self._children]
        self._end(children, within_seconds=within_seconds)

    def stop_all(self, *, within_seconds: float = 9) -> None:
        """Stop every child there still is, together, and dismiss the reaper."""
        self.stop(*self._children, within_seconds=within_seconds)
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.close()
            self._reaper.wait(timeout=10)
            self._reaper = None

    # -- all of them ------------------------------------------------------------------------------
    def look_after(self) -> None:
        """Restart children that ended unexpectedly, with an increasing delay. Call it a few times a second."""
        for child in list(self._children.values()):
            if self._children.get(child.command.name) is not child:
                continue  # an `on_end` has just stopped it
            child.start_if_due()
            if (code := child.exit_code()) is not None:
                self._note_end(child, code)

    def run(self, command: Command, *, timeout_seconds: float) -> int:
        """Run a command until it ends, with its output in its log; returns the exit code.

        Raises:
            LocalError: it took too long.
            Stopped: a stop was requested.
        """
        self.start(command)
        return self.finish(command.name, timeout_seconds=timeout_seconds)

    def finish(self, name: str, *, timeout_seconds: float) -> int:
        """Wait until a command ends that was started with `start`; raises and returns as `run`."""
        process = self._running(name)
        try:
            waiting.until(
                lambda: process.poll() is not None,
                what=name, timeout_seconds=timeout_seconds, stop=self.stop_requested,
            )  # fmt: skip
        except TimeoutError as error:
            raise LocalError(f"{error}. {self.hint(name)}") from error
        finally:
            self.stop(name, within_seconds=2)
        return process.returncode

    def log(self, name: str) -> Path:
        """The log file of a child."""
        return self.logs / f"{name}.log"

    def tail(self, name: str, lines: int = 3) -> str:
        """The last lines of a child's log that are not empty."""
        try:
            with self.log(name).open("rb") as file:
                file.seek(max(0, self.log(name).stat().st_size - 16_384))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])

    def hint(self, name: str) -> str:
        """The log file of a failed child, and its last lines."""
        return f"Its log, {self.log(name)}, ends with:\n{self.tail(name)}"

    # -- inside -----------------------------------------------------------------------------------
    def _running(self, name: str) -> Process:
        child = self._children.get(name)
        if child is None or child.process is None:
            raise LookupError(f"{name} does not run")
        return child.process

    def _spawn(self, command: Command) -> Process:
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.log(command.name)
        if log.exists() and log.stat().st_size > LOG_KEEP_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own command lines
                [*_death_signal(command), *command.arguments],
                env={**os.environ, **command.environment},
                cwd=command.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._tell_reaper(f"+ {process.pid} {int(command.stop_signal)}")
        return process

    def _note_end(self, child: Child, code: int) -> None:
        if child.process is not None:
            # It may have left children of its own, which would hold its ports and files.
            self._sweep(child.process)
        if child.on_end is not None:
            del self._children[child.name]
            child.on_end()
            return
        pause, name = child.note_end(), child.name
        self._say(f"{name} ended ({_describe(code)}); starting it again in {pause:g} s. Its log: {self.log(name)}")

    def _end(self, children: Sequence[Child], *, within_seconds: float) -> None:
        """Signal, wait, kill; then make sure that nothing is left of their process groups."""
        signals = {child.process: child.command.stop_signal for child in children if child.process is not None}

        def ask(process: Process) -> None:
            _signal_group(process.pid, signals[process])
            _signal_group(process.pid, signal.SIGCONT)  # a paused process could not hear the first one

        child_processes.stop_together(list(signals), within_seconds=within_seconds, ask=ask, end=self._sweep)

    def _sweep(self, process: Process) -> None:
        """Kill whatever is left of the process and of its group."""
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
        self._tell_reaper(f"- {process.pid}")

    def _tell_reaper(self, line: str) -> None:
        if self._reaper is None:
            self._reaper = subprocess.Popen(  # noqa: S603 - our own script
                [sys.executable, "-S", "-E", reaper.__file__],
                stdin=subprocess.PIPE,
                start_new_session=True,
                pass_fds=self._held,
            )
        if self._reaper.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._reaper.stdin.write(f"{line}\n".encode())
                self._reaper.stdin.flush()


def _death_signal(command: Command) -> list[str]:
    """The prefix that makes the kernel signal the child when its supervisor dies; empty if not supported."""
    if SETPRIV is None or command.sets_own_death_signal:
        return []
    return [SETPRIV, "--pdeathsig", command.stop_signal.name.removeprefix("SIG"), "--"]


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _describe(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
