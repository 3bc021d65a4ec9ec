"""`manage.py` commands of one shop, without the second that each would take to load Django.

A process loads it once, and each command runs in a child that is forked from it: with imports, settings and an
environment as fresh as in a process of its own, and with no connection that another command has opened.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import django
from django.core.management import execute_from_command_line

from devtools.local.roles import PROJECT

TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    output: str
    errors: str


class ManageServer:
    """Runs commands in one environment; `close` it. Several threads may ask: they wait for each other."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "devtools.testing.manage_server"],
            env={**os.environ, **environment},
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Done:
        """Run one command until it ends.

        Raises:
            TimeoutError: it takes longer than `TIMEOUT_SECONDS`.
        """
        with self._lock, tempfile.TemporaryDirectory() as folder:
            code = self._ask({"arguments": arguments, "folder": folder})
            output, errors = ((Path(folder) / name).read_text() for name in ("output", "errors"))
        return Done(code, output, errors)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, request: Mapping[str, object]) -> int:
        asked, answers = self._process.stdin, self._process.stdout
        if asked is None or answers is None:
            raise AssertionError("it was started with both")
        asked.write(json.dumps(request) + "\n")
        asked.flush()
        if not select.select([answers], [], [], TIMEOUT_SECONDS)[0]:
            self.close()
            raise TimeoutError(f"manage.py: no end after {TIMEOUT_SECONDS} s: {request}")
        return int(answers.readline())


def serve() -> None:
    """Run what the lines of standard input ask for, until it ends."""
    django.setup()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            _become(request["arguments"], Path(request["folder"]))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(arguments: list[str], folder: Path) -> None:
    """Be `manage.py` with these arguments; does not return."""
    for number, name in ((1, "output"), (2, "errors")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 1
    try:
        execute_from_command_line(["manage.py", *arguments])
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
