"""`manage.py check_alerts`."""

from collections.abc import Sequence
from typing import IO, Any, NoReturn, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.live import Live

from kafka_bridge.runtime import processes
from shop.operations.alerts import checking, output
from shop.operations.alerts.alert import Alert
from shop.operations.overview import collector

NONE, WARNINGS, CRITICAL, CANNOT_TELL = 0, 1, 2, 3


class Command(BaseCommand):
    """Says what must not stay as it is."""

    # It must also run where something is wrong.
    requires_system_checks = ()
    help = (
        "Look at the shop and say which alerts hold: what is wrong, how bad it is, since when, and what to do. It "
        "looks by itself, so it also tells where no timekeeper runs and while PostgreSQL, Kafka or Redis is away; it "
        "writes nothing and tells nobody. As long as somebody evaluates the alerts, what has not held for its time is "
        "left out, as in the shop; else all that is wrong now counts. Without --once it looks again and again, until "
        "Ctrl-C. Exit codes, as monitoring systems want them: 0 no alert holds, 1 warnings, 2 at least one is "
        "critical, 3 a channel did not take the test, none is set up, or the options make no sense. Alerts that are "
        "silenced are listed and do not count."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument("--once", action="store_true", help="look once, and end with an exit code")
        parser.add_argument(
            "--test",
            metavar="NAME",
            help="send a test of this alert (such as `lag`) through every channel that is set up, and say who took it",
        )
        parser.add_argument("--json", action="store_true", help="print a JSON list; without --once one for each look")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """One that ends with 3 where options make no sense: 2 is said of an alert."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        end = parser.exit

        def end_differently(status: int = 0, message: str | None = None) -> NoReturn:
            end(CANNOT_TELL if status else 0, message)

        parser.exit = end_differently  # type: ignore[method-assign]
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, or send a test."""
        if options["test"] is not None:
            self._test(options["test"], as_json=options["json"])
        elif options["once"]:
            found = checking.look(collector.collect_once())
            self._show(found, as_json=options["json"])
            raise SystemExit(_exit_code(found))
        else:
            self._watch(as_json=options["json"])

    def _test(self, name: str, *, as_json: bool) -> None:
        try:
            told = checking.send_test(name)
        except checking.UnknownAlert as error:
            raise CommandError(str(error), returncode=CANNOT_TELL) from error
        self.stdout.write(output.told_as_json(told) if as_json else output.told_in_words(told))
        if not told or not all(each.is_taken for each in told):
            raise SystemExit(CANNOT_TELL)

    def _watch(self, *, as_json: bool) -> None:
        stop = processes.stop_on_signals()
        collector.start()
        eyes = checking.Eyes()
        with Live(console=self._console(), auto_refresh=False, transient=as_json) as live:
            while not stop.wait(checking.EVERY_SECONDS):
                found = eyes.look(collector.overview())
                if as_json:
                    self._show(found, as_json=True)
                else:
                    live.update(output.page(found, timezone.now()), refresh=True)

    def _show(self, found: Sequence[Alert], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(output.as_json(found))
            self.stdout.flush()
        else:
            self._console().print(output.page(found, timezone.now()))

    def _console(self) -> Console:
        return Console(file=cast(IO[str], self.stdout))


def _exit_code(found: Sequence[Alert]) -> int:
    severities = {alert.severity for alert in found if not alert.is_silenced(timezone.now())}
    return CRITICAL if "critical" in severities else WARNINGS if severities else NONE
