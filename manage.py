#!/usr/bin/env python
"""Bookrush's command line: `manage.py help` lists the commands."""

import gc
import os
import sys
from pathlib import Path

# Note [No garbage while loading]
# Loading makes a hundred thousand objects, and all of them stay: to look through them for garbage again and again takes
# a fifth of the start. `ShopConfig.ready` puts them aside for good and lets the collector begin.


def main() -> None:
    """Hand the arguments to Django, or say what is missing."""
    gc.disable()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    try:
        from django.core.management import execute_from_command_line  # noqa: PLC0415 - the import is what may fail

        execute_from_command_line(sys.argv)
    except ModuleNotFoundError as error:
        if _is_ours(error.name or ""):
            raise
        sys.exit(f"Python module {error.name!r} is missing. Run `make install`, then use .venv/bin/python manage.py.")


def _is_ours(module: str) -> bool:
    """Whether the module would be part of the project: then its absence is a mistake in the code."""
    return (Path(__file__).parent / module.split(".")[0]).is_dir()


if __name__ == "__main__":
    main()
