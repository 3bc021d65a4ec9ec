"""Ends the supervisor's children when the supervisor itself was killed and could not.

Run as a script with a pipe on standard input: `+ <process group> <signal>` adds a group, `- <process group>` takes it
away. When the pipe closes, whatever its writer died of, the groups left get their signal, and SIGKILL five seconds
later.
The standard library only: it must start at once and stay small.
"""

import os
import signal
import sys
import time

GRACE_SECONDS = 5.0


def main() -> None:
    """Read until the pipe closes, then end what is left."""
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
    """Signal each process group as it asks, wait, then kill those still there."""
    for group, number in groups.items():
        _send(group, number)
        _send(group, signal.SIGCONT)  # a stopped process could not hear the first one
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
