"""`manage.py control_group pause|resume|rejoin|list`."""

import argparse
import getpass
import json
from collections.abc import Callable, Mapping
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import transaction
from rich import box
from rich.console import Console
from rich.table import Table

from kafka_bridge.consuming import controls
from kafka_bridge.consuming.controls import InvalidControl
from kafka_bridge.models import GroupControl

REFUSED, NO_DATABASE = 2, 3
SECONDS = f"{controls.LOOK_SECONDS + 1:.0f} seconds"


class Command(BaseCommand):
    """Has a consumer group stand still or go on, or one of its members leave and come back."""

    requires_system_checks = ()
    help = (
        "Pause a consumer group, a topic of it or one partition; resume it; or ask a member to leave the group and "
        f"come back. Members notice within {SECONDS}; a pause holds for those that start later, too, and nothing is "
        "lost by it: messages wait in Kafka. `list` shows the pauses in force. Exit codes: 0 done, 2 refused (the "
        "message says why), 3 PostgreSQL does not answer."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The verbs and their options."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="pause|resume|rejoin|list")
        for verb, words in (
            ("pause", "have it stand still until it is resumed"),
            ("resume", "have it go on from its committed offsets; without --topic all of its pauses end"),
            ("rejoin", "ask one member to leave and come back"),
        ):
            action = verbs.add_parser(verb, help=words)
            action.add_argument("group", metavar="GROUP", help="such as `stock`; run_consumer --list shows them")
            if verb == "rejoin":
                action.add_argument("--member", required=True, metavar="ID", help="its whole member id")
            else:
                action.add_argument("--topic", default="", help="only this topic (default: all that the group hears)")
                action.add_argument("--partition", type=int, metavar="P", help="only this one, of the topic")
            action.add_argument("--reason", default="", help="why; others will want to know")
            action.add_argument("--by", default="", metavar="WHO", help="who says so (default: who is signed in here)")
            action.add_argument("--dry-run", action="store_true", help="check, say what it would do, and do nothing")
            action.add_argument("--json", action="store_true", help="one JSON object on standard output")
        listing = verbs.add_parser("list", help="the pauses in force")
        listing.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the verb says."""
        try:
            if options["verb"] == "list":
                self._list(as_json=options["json"])
            else:
                self._act(options)
        except InvalidControl as error:
            raise CommandError(str(error), returncode=REFUSED) from error
        except DatabaseError as error:
            raise CommandError(f"PostgreSQL did not do it: {error}", returncode=NO_DATABASE) from error

    def _act(self, options: Mapping[str, Any]) -> None:
        who = options["by"] or getpass.getuser()
        act = _ACTS[options["verb"]]
        with transaction.atomic():
            act(options, who)
            transaction.set_rollback(options["dry_run"])
        place = controls.Place(
            group=options["group"], topic=options.get("topic", ""), partition=options.get("partition")
        )
        if options["json"]:
            facts = {"verb": options["verb"], "dry_run": options["dry_run"], **vars(place)}
            self.stdout.write(json.dumps(facts | {"member": options.get("member"), "by": who}))
            return
        words = {"pause": "is paused", "resume": "goes on", "rejoin": "is asked to leave and come back"}
        subject = options.get("member") or place
        if options["dry_run"]:
            self.stdout.write(f"Dry run: {subject} would be told; nothing was changed.")
        else:
            self.stdout.write(f"{subject} {words[options['verb']]}; members notice within {SECONDS}.")
            if options["verb"] == "resume" and (holding := controls.still_holding(**_place(options))):
                self.stdout.write(f"It stands still all the same: {holding}")

    def _list(self, *, as_json: bool) -> None:
        found = controls.current()
        if as_json:
            self.stdout.write(json.dumps({"pauses": [_facts(each) for each in found]}))
        elif not found:
            self.stdout.write("Nothing is paused.")
        else:
            table = Table(title="Paused by people", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
            for column in ("what", "since", "by", "why"):
                table.add_column(column, overflow="fold")
            for each in found:
                table.add_row(str(controls.place_of(each)), f"{each.at:%Y-%m-%d %H:%M:%S} UTC", each.who, each.reason)
            Console(file=cast(IO[str], self.stdout)).print(table)


def _pause(options: Mapping[str, Any], who: str) -> None:
    controls.pause(**_place(options), who=who, reason=options["reason"])


def _resume(options: Mapping[str, Any], who: str) -> None:
    controls.resume(**_place(options), who=who, reason=options["reason"])


def _rejoin(options: Mapping[str, Any], who: str) -> None:
    controls.ask_to_rejoin(group=options["group"], member_id=options["member"], who=who, reason=options["reason"])


def _place(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("group", "topic", "partition")}


_ACTS: dict[str, Callable[[Mapping[str, Any], str], None]] = {"pause": _pause, "resume": _resume, "rejoin": _rejoin}


def _facts(control: GroupControl) -> dict[str, Any]:
    return {
        "group": control.group,
        "topic": control.topic,
        "partition": control.partition,
        "since": control.at.isoformat(timespec="seconds"),
        "by": control.who,
        "reason": control.reason,
    }
