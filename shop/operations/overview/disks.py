"""The file systems that this process can see: where the shop keeps its state, and where temporary files go."""

import os
import shutil
import tempfile
from pathlib import Path

from django.conf import settings

from shop.operations.overview.figures import DiskFigures


def read() -> tuple[DiskFigures, ...]:
    """Each file system once."""
    found: dict[int, DiskFigures] = {}
    for folder in (settings.STATE_DIR, settings.BASE_DIR, tempfile.gettempdir()):
        path = Path(folder)
        if not path.exists():
            continue
        usage = shutil.disk_usage(path)
        found.setdefault(
            os.stat(path).st_dev, DiskFigures(path=str(path), free_bytes=usage.free, size_bytes=usage.total)
        )
    return tuple(found.values())
