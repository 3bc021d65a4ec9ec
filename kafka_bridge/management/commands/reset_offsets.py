"""`manage.py reset_offsets`."""

import getpass
import json
from collections.abc import Mapping, Sequence
from typing import IO, Any, cast

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from rich.console import Console
from rich.table import Table

from kafka_bridge.consuming import registry
from kafka_bridge.replaying import offset_resets, offsets
from kafka_bridge.runtime import clients

FAILED, REFUSED = 1, 2


class Command(BaseCommand):
    """Moves a group to another offset of a topic."""

    requires_system_checks = ()
    help = (
        "Set a consumer group that is not running to another offset of a topic, after showing what that means. Back: "
        "the messages in between come again, and the inbox knows those that the group has had, so nothing happens "
        "twice. Forward: the messages in between are never handled by this group, so it takes --skip. "
        "`replay_events` does the former without moving anything. Exit code: 0 done, 1 Kafka or PostgreSQL did "
        "not do it, 2 refused: the group is running, or the offset does not exist."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument("--group", required=True, help="such as `stock`; run_consumer --list shows them")
        parser.add_argument("--topic", required=True, help="such as `billing.events`")
        parser.add_argument("--partition", type=int, metavar="P", help="only this one (default: all)")
        parser.add_argument(
            "--to",
            required=True,
            metavar="PLACE",
            help="beginning, end, an offset (with --partition), or a time: the first message written from then on; "
            "2026-01-31T04:00+01:00, UTC where no zone is given",
        )
        parser.add_argument("--skip", action="store_true", help="allow to pass over messages that were not handled")
        parser.add_argument("--reason", default="no reason given", help="why; kept in the log, with who did it")
        parser.add_argument("--by", default="", metavar="WHO", help="who says so (default: who is signed in here)")
        parser.add_argument("--dry-run", action="store_true", help="show what it means, and move nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Plan, show, and move."""
        try:
            shown = offset_resets.preview(
                group=options["group"], topic=options["topic"], partition=options["partition"], to=options["to"]
            )
            self._show(shown.group, shown.moves, options)
            if options["dry_run"]:
                return
            if shown.skipped and not options["skip"] and not shown.obstacle:
                raise offsets.InvalidRequest(
                    f"{shown.skipped:,} messages would never be handled by {shown.group.name}. Add --skip if that is "
                    "meant."
                )
            offset_resets.reset(shown, allow_skip=options["skip"], who=_who(options), reason=options["reason"])
        except LookupError as error:
            raise CommandError(str(error.args[0]), returncode=REFUSED) from error
        except offsets.InvalidRequest as error:
            raise CommandError(str(error), returncode=REFUSED) from error
        except DatabaseError as error:
            raise CommandError(
                f"PostgreSQL, where it is noted, does not answer ({error}); look with --dry-run whether it was done.",
                returncode=FAILED,
            ) from error
        except KafkaException as error:
            raise CommandError(
                f"Kafka at {clients.conf().bootstrap_servers} did not do it: {error}", returncode=FAILED
            ) from error
        if not options["json"]:
            self.stdout.write(f"{shown.group.name} goes on from there when it is started.")

    def _show(self, group: registry.Group, moves: Sequence[offsets.OffsetMove], options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(
                json.dumps(
                    {
                        "group": group.name,
                        "topic": options["topic"],
                        "dry_run": options["dry_run"],
                        "partitions": [
                            {
                                "partition": move.log_range.partition,
                                "now": move.now,
                                "then": move.then,
                                "again": move.again,
                                "skipped": move.skipped,
                            }
                            for move in moves
                        ],
                    }
                )
            )
            return
        title = f"{group.name} in {options['topic']}" + " (dry run)" * options["dry_run"]
        table = Table(title=title, title_justify="left")
        for column in ("partition", "now", "then", "read again", "never handled"):
            table.add_column(column, justify="right")
        for move in moves:
            table.add_row(
                str(move.log_range.partition),
                "none yet" if move.now is None else f"{move.now:,}",
                f"{move.then:,}",
                f"{move.again:,}",
                f"[bold red]{move.skipped:,}[/]" if move.skipped else "0",
            )
        Console(file=cast(IO[str], self.stdout)).print(table)


def _who(options: Mapping[str, Any]) -> str:
    if options["by"]:
        return str(options["by"])
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise offsets.InvalidRequest("this account has no name: say --by WHO") from error
