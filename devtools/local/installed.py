"""Which of the pinned distributions are there."""

import importlib.metadata
import re
from pathlib import Path


def missing_modules(requirements: Path) -> list[str]:
    """The distributions in a requirements file that are not installed."""
    names = re.findall(r"^([A-Za-z0-9._-]+)", requirements.read_text(), flags=re.MULTILINE)
    return [name for name in names if not _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
