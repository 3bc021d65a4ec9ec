"""`manage.py plan_partitions`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from rich.console import Console
from rich.table import Table

from kafka_bridge.consuming import registry
from kafka_bridge.monitoring.groups import capacity
from kafka_bridge.runtime import conf
from kafka_bridge.wire import event_types

BAD_OPTIONS, NOT_KNOWN = 2, 3


class Command(BaseCommand):
    """Says how many partitions a rate takes."""

    requires_system_checks = ()
    help = (
        "How many partitions, and so members of each group, a rate takes: the wanted rate, with some headroom, divided "
        "by what one member handled when it had more to do than it could (from the timekeeper's samples of the last "
        "week; let a load run that the consumers cannot keep up with, for a minute or two). A group never has more "
        "members at work than its topic has partitions. Exit code: 0, 2 for options that make no sense, 3 if the rate "
        "of one member is not known."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument("--rate", type=float, required=True, metavar="N", help="wanted messages per second")
        parser.add_argument(
            "--topic",
            action="append",
            default=[],
            metavar="TOPIC",
            help="only the groups that hear this topic; may be given again (default: all topics)",
        )
        parser.add_argument(
            "--member-rate", type=float, metavar="N", help="take this for what one member handles, instead of samples"
        )
        parser.add_argument(
            "--headroom", type=float, default=1.5, metavar="X", help="times the wanted rate (default: %(default)g)"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Advise, or say what is missing."""
        self._refuse_nonsense(options)
        try:
            groups = capacity.hearers(options["topic"] or [topic.name for topic in event_types.topics()])
            advice = capacity.advise(
                rate=options["rate"],
                groups=groups,
                headroom=options["headroom"],
                member_rate=options["member_rate"],
            )
        except LookupError as error:
            raise CommandError(str(error.args[0]), returncode=BAD_OPTIONS) from error
        except DatabaseError as error:
            raise CommandError(
                f"PostgreSQL, which has the samples, does not answer ({error}). Name a rate with --member-rate."
            ) from error
        if options["json"]:
            rows = [
                asdict(one) | {"partitions_now": capacity.partitions_now(registry.find(one.group))} for one in advice
            ]
            self.stdout.write(json.dumps({"rate": options["rate"], "headroom": options["headroom"], "groups": rows}))
        else:
            self._print(advice, options)
        if not any(one.members for one in advice):
            raise CommandError(
                "No member was ever seen with more to do than it could, so nothing is known of its rate. Let a load "
                "run for a minute or two while the timekeeper takes samples, or name a rate with --member-rate.",
                returncode=NOT_KNOWN,
            )

    def _refuse_nonsense(self, options: dict[str, Any]) -> None:
        for name in ("rate", "member_rate"):
            if options[name] is not None and not 0 < options[name] < 1e9:
                raise CommandError(f"--{name.replace('_', '-')} takes a number above 0.", returncode=BAD_OPTIONS)
        if not 1 <= options["headroom"] <= 100:
            raise CommandError("--headroom takes a number from 1 to 100.", returncode=BAD_OPTIONS)

    def _print(self, advice: Sequence[capacity.Advice], options: dict[str, Any]) -> None:
        console = Console(file=cast(IO[str], self.stdout))
        table = Table("group", title=f"For {options['rate']:,g} messages/s, with {options['headroom']:g} x headroom")
        for column in ("one member handles", "members wanted", "partitions now"):
            table.add_column(column, justify="right")
        for one in advice:
            now = capacity.partitions_now(registry.find(one.group))
            wanted = "not known" if one.members is None else str(one.members)
            style = "bold yellow" if one.members and one.members > now else ""
            handles = "not known" if one.member_rate is None else f"{one.member_rate:,.0f}/s"
            table.add_row(one.group, handles, wanted, str(now), style=style)
        console.print(table)
        most = max((one.members or 0 for one in advice), default=0)
        if most > min(capacity.partitions_now(registry.find(one.group)) for one in advice):
            console.print(
                f"Set {conf.name_of('partitions')}={most} and run manage.py create_topics. Keys are then spread "
                "over all of them: events of a key that is under way may take another partition than its earlier ones, "
                "so do it when little is."
            )
