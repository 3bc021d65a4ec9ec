"""Ends the supervisor's children if the supervisor itself was killed.

Run as a script with a pipe on standard input: `+ <process group> <signal>` adds a group, `- <process group>` removes
it. When the pipe closes, for whatever reason, the remaining groups get their signal, and SIGKILL five seconds later.
Uses only the standard library: it must start fast and stay small.
"""

import os
import signal
import sys
import time

GRACE_SECONDS = 5.0


def main() -> None:
    """Read until the pipe closes, then end the remaining groups."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, int] = {}
    for line in sys.stdin:
        sign, *numbers = line.split()
        if sign == "+":
            groups[int(numbers[0])] = int(numbers[1])
        else:
            groups.pop(int(numbers[0]), None)
    end(groups)


def end(groups: dict[int, int]) -> None:
    """Send each process group its signal, wait, then kill what is left."""
    for group, number in groups.items():
        _send(group, number)
        _send(group, signal.SIGCONT)  # a stopped process cannot handle the first signal
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(_send(group, 0) for group in groups):
        time.sleep(0.05)
    for group in groups:
        _send(group, signal.SIGKILL)


def _send(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
