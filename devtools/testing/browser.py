"""Finding a Chromium for the browser tests; `python -m devtools.testing.browser` also installs one where it can."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

# The shell is Chromium without windows: a page takes a third of the time, and a quarter of the work.
SHELL = "chromium-headless-shell"
SYSTEM_NAMES = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# No sandbox: tests often run as root or in a container, where Chromium's own does not work, and load only our pages.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find() -> str:
    """The path of a Chromium; empty if there is none."""
    for name in SYSTEM_NAMES:
        if path := shutil.which(name):
            return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else ""


def install() -> None:
    """Install one: Debian's package where we are root on Debian, otherwise Playwright's own download."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _run(["apt-get", "update", "-qq"], environment)
        _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", SHELL], environment)
    else:
        _run([sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"], dict(os.environ))


def _run(arguments: list[str], environment: dict[str, str]) -> None:
    subprocess.run(arguments, env=environment, stdin=subprocess.DEVNULL, check=False)  # noqa: S603 - our own arguments


def main() -> int:
    """Make sure that there is one; without one the exit code is 0 all the same, and the browser tests say why."""
    if not find():
        print("Installing Chromium for the browser tests.", flush=True)
        install()
    if not find():
        print("There is no Chromium, and it could not be installed: browser tests will be skipped (or fail in CI).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
