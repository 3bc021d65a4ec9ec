"""What long-running commands show on the terminal, and what commands say that cannot go on."""

import time
from types import TracebackType
from typing import Self

from django.core.management import CommandError
from django.db import OperationalError
from rich.console import Console, RenderableType
from rich.live import Live


def without_postgresql(error: OperationalError) -> CommandError:
    """The end of a command that needs PostgreSQL: exit code 3, and what to do."""
    words = str(error).strip().partition("\n")[0]
    return CommandError(f"PostgreSQL cannot be reached: {words}. Start the shop with `make demo`.", returncode=3)


class LiveScreen:
    """Shows changing output: in place on a terminal, otherwise as a line from time to time."""

    def __init__(self, console: Console, *, line_every_seconds: float) -> None:
        self._console = console
        self._line_every_seconds = line_every_seconds
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._next_line = 0.0
        self._unsaid = ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop, and print the last line if it was not printed yet."""
        if self._live is not None:
            self._live.stop()
        if self._unsaid:
            self.say(self._unsaid)

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._unsaid = ""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def update(self, shown: RenderableType, line: str, *, at_once: bool = False) -> None:
        """Show the current state, for a terminal and as a line; `at_once` prints the line without waiting."""
        if self._live is not None:
            self._live.update(shown, refresh=True)
        elif at_once or time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + self._line_every_seconds
            self.say(line)
        else:
            self._unsaid = line


def printable(text: str) -> str:
    """Without what a terminal would obey: whoever wrote a file could wipe out what is said of it."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
