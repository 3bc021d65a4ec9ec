#!/usr/bin/env python
"""Bookrush's command line: `manage.py help` lists the commands."""

import os
import sys


def main() -> None:
    """Hand the arguments to Django, or say what is missing."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    try:
        from django.core.management import execute_from_command_line  # noqa: PLC0415 - the import is what may fail
    except ImportError as error:
        sys.exit(f"Python module {error.name!r} is missing. Run `make install`, then use .venv/bin/python manage.py.")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
