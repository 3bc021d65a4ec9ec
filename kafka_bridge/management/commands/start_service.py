"""`manage.py start_service`."""

import argparse
import importlib.util
import json
import keyword
import re
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.consuming import registry
from kafka_bridge.management import service_files
from kafka_bridge.wire import event_types
from kafka_bridge.wire.events import Event

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Command(BaseCommand):
    """Makes a new service."""

    help = (
        "Make an app that hears events: a consumer group, a handler for each event, a table with its migration, a "
        "preview for dead letters, and tests that pass at once. No other file is changed; what is left to do is "
        "printed. Exit code 1: the name is taken or is none, or nobody states such an event."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="of the app and of its group, in lower case: fraud_check")
        parser.add_argument(
            "--hears", nargs="+", required=True, metavar="TYPE", help="event types, such as order.created"
        )
        parser.add_argument(
            "--folder", type=Path, default=Path(), help="where the app's folder is put (default: the present folder)"
        )
        parser.add_argument("--dry-run", action="store_true", help="say which files would be written, and write none")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        name, folder = options["name"], options["folder"].resolve()
        self._check_name(name, folder)
        service = service_files.Service(
            name=name,
            package=_package(folder, name),
            hears=tuple(dict.fromkeys(_find(event_type) for event_type in options["hears"])),
        )
        files = {folder / name / path: text for path, text in service_files.files(service).items()}
        if not options["dry_run"]:
            for path, text in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        self._report(service, [str(path) for path in files], options)

    @staticmethod
    def _check_name(name: str, folder: Path) -> None:
        if not _NAME.fullmatch(name) or keyword.iskeyword(name):
            raise CommandError(f"{name!r} is no name for an app: take lower case letters, digits and _.")
        if name in {group.name for group in registry.groups()}:
            raise CommandError(f"There is a consumer group {name} already: take another name.")
        if not folder.is_dir():
            raise CommandError(f"{folder} is no folder: make it, or name another with --folder.")
        if (folder / name).exists() or importlib.util.find_spec(name):
            raise CommandError(f"There is something called {name} already: take another name.")

    def _report(self, service: service_files.Service, paths: list[str], options: dict[str, Any]) -> None:
        if options["json"]:
            said = {"dry_run": options["dry_run"], "app": service.package, "group": service.name, "files": paths}
            self.stdout.write(json.dumps(said))
            return
        for path in paths:
            self.stdout.write(f"{'would write' if options['dry_run'] else 'wrote'} {path}")
        self.stdout.write(
            f"\nAdd {service.package!r} to the installed apps. Then run `manage.py migrate`, `manage.py create_topics` "
            f"(for its retry and dead letter topics) and `manage.py run_consumer {service.name}`. A new group begins "
            "with the oldest events that the topics still have."
        )


def _find(event_type: str) -> type[Event]:
    """The newest version of an event type."""
    found = [event for event in event_types.registered() if event_type == event.TYPE]
    if not found:
        known = ", ".join(sorted({event.TYPE for event in event_types.registered()}))
        raise CommandError(f"Nobody states {event_type!r}. There are: {known}.")
    return max(found, key=lambda event: event.VERSION)


def _package(folder: Path, name: str) -> str:
    """How the app is imported by a process that was started in the present folder."""
    inside = folder.relative_to(Path.cwd()).parts if folder.is_relative_to(Path.cwd()) else ()
    return ".".join((*inside, name))
