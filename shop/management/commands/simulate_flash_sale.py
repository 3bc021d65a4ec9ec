"""`manage.py simulate_flash_sale`: many buyers, few copies, and a verdict."""

import argparse
import json
import random
import sys
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from rich.console import Console

from events import catalogue
from kafka_bridge.runtime import processes
from shop.simulation import load, report, runner, screen
from shop.simulation.buyers import BadPlan, SalePlan
from shop.simulation.naive import NaiveResult
from shop.simulation.queueing import playing
from shop.simulation.sale_fixture import EmptyShop
from shop.simulation.verdict import SaleVerdict
from shop.site import terminal

SAGA, NAIVE = "saga", "naive"
BROKEN, BAD_OPTIONS, NO_OUTCOME, STOPPED = 1, 2, 3, 130
HERE = "here"


class Command(BaseCommand):
    """Plays a flash sale at the shop that the settings point to."""

    help = (
        "Let many buyers order few copies at the running shop (for example `make demo` in another terminal), watch "
        "their orders, and check that exactly the available copies were sold. Exit codes: 0 every invariant holds, 1 "
        "an invariant is broken, 2 invalid options, 3 orders get no outcome, 130 stopped. With --queue the sale has a "
        "waiting room: buyers ask for places over HTTP, most of them before the start, hear of the queue on sockets, "
        "and order when it is their turn; it is judged whether they were told the truth: sold out within 2 s, nobody "
        "admitted after that, a copy that comes back admits the next within 1 s, everybody in their turn."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Options of the command line."""
        parser.add_argument("--buyers", type=int, default=500, metavar="N", help="number of buyers (default: 500)")
        parser.add_argument("--units", type=int, default=20, metavar="M", help="copies of each book (default: 20)")
        parser.add_argument("--books", type=int, default=1, metavar="K", help="books in the sale (default: 1)")
        parser.add_argument("--basket", type=int, default=1, metavar="B", help="books per buyer (default: 1)")
        parser.add_argument("--flow", choices=catalogue.FLOWS, help="hold first or charge first (default: ORDER_FLOW)")
        parser.add_argument("--mode", choices=(SAGA, NAIVE), default=SAGA, help="naive: check-then-act, no shop needed")
        parser.add_argument("--compare", action="store_true", help="both modes with the same buyers, side by side")
        parser.add_argument("--queue", action="store_true", help="with a waiting room, over HTTP and sockets")
        parser.add_argument(
            "--sockets",
            type=int,
            default=100,
            metavar="N",
            help="waiters with a socket of their own (default: 100; LIVE_SOCKETS_PER_ADDRESS_MAX allows 160)",
        )
        parser.add_argument(
            "--idle",
            type=float,
            default=5.0,
            metavar="PERCENT",
            help="share of waiters who do not order in their turn (default: 5)",
        )
        parser.add_argument(
            "--pass",
            type=int,
            default=10,
            dest="pass_seconds",
            metavar="SECONDS",
            help="time to order for who is admitted (default: 10)",
        )
        parser.add_argument(
            "--slack",
            type=float,
            default=1.0,
            metavar="FACTOR",
            help="multiply the 2 s and 1 s of --queue, on a slow machine (default: 1)",
        )
        parser.add_argument(
            "--http", nargs="?", const=HERE, metavar="URL", help="POST to /api/orders/ (default: the demo's address)"
        )
        parser.add_argument("--limit", type=int, metavar="L", help="limit per customer, in copies of each book")
        parser.add_argument(
            "--declined",
            type=float,
            default=0.0,
            metavar="PERCENT",
            help="share of cards that are declined (default: 0)",
        )
        # The name it had before.
        parser.add_argument("--cards", type=float, dest="declined", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        parser.add_argument("--threads", type=int, default=32, metavar="T", help="concurrent buyers (default: 32)")
        parser.add_argument("--rate", type=float, default=0.0, metavar="R", help="clicks a second (default: no limit)")
        parser.add_argument("--seed", type=int, metavar="S", help="the same seed gives the same buyers")
        parser.add_argument(
            "--patience",
            type=float,
            default=120.0,
            metavar="SECONDS",
            help="give up after so long without progress (default: 120)",
        )
        parser.add_argument("--json", action="store_true", help="the result as one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Play the sale and say what came of it."""
        plan, url = self._plan(options), _url(options)
        if plan.queue:
            self._queue(plan, url, options)
            return
        live = screen.Screen(Console(stderr=True))
        verdict: SaleVerdict | None = None
        naive_result: NaiveResult | None = None
        try:
            with processes.sigterm_as_ctrl_c(), live:
                if options["mode"] == SAGA or options["compare"]:
                    verdict = runner.play(plan, url=url, patience_seconds=options["patience"], show=live.show)
                if options["mode"] == NAIVE or options["compare"]:
                    naive_result = runner.play_naive(plan, show=live.show_naive)
        except (runner.NoOutcome, EmptyShop) as error:
            raise CommandError(str(error), returncode=NO_OUTCOME) from error
        except OperationalError as error:
            raise terminal.without_postgresql(error) from error
        except KeyboardInterrupt:
            self.stderr.write("Stopped. The simulation's sale is removed; orders under way continue.")
            sys.exit(STOPPED)
        self._print(verdict, naive_result, as_json=options["json"], over_http=url is not None)
        if verdict is not None and not verdict.is_exact:
            raise CommandError(f"an invariant is broken: {'; '.join(verdict.problems)}", returncode=BROKEN)

    def _queue(self, plan: SalePlan, url: str | None, options: dict[str, Any]) -> None:
        live = screen.Screen(Console(stderr=True))
        try:
            with processes.sigterm_as_ctrl_c(), live:
                found = playing.play(
                    plan, url=url or "", patience_seconds=options["patience"], slack=options["slack"], show=live.show
                )
        except (runner.NoOutcome, EmptyShop, load.NoAnswer) as error:
            raise CommandError(str(error), returncode=NO_OUTCOME) from error
        except OperationalError as error:
            raise terminal.without_postgresql(error) from error
        except KeyboardInterrupt:
            self.stderr.write("Stopped. The simulation's sale is removed; orders under way continue.")
            sys.exit(STOPPED)
        if options["json"]:
            self.stdout.write(json.dumps(playing.as_json(found)))
        else:
            playing.print_verdict(found, Console(file=sys.stdout))
        if not found.is_kept:
            raise CommandError(f"a promise is broken: {'; '.join(found.problems)}", returncode=BROKEN)

    def _plan(self, options: dict[str, Any]) -> SalePlan:
        seed = options["seed"]
        plan = SalePlan(
            buyers=options["buyers"],
            units=options["units"],
            books=options["books"],
            basket=options["basket"],
            flow=options["flow"] or settings.ORDER_FLOW,
            customer_limit=options["limit"],
            declined_percent=options["declined"],
            threads=options["threads"],
            rate=options["rate"],
            queue=options["queue"],
            sockets=options["sockets"],
            idle_percent=options["idle"],
            pass_seconds=options["pass_seconds"],
            seed=random.randrange(1, 1_000_000) if seed is None else seed,  # noqa: S311 - any will do
        )
        try:
            plan.check()
            if options["slack"] < 1:
                raise BadPlan("--slack takes a factor of at least 1.")
            if plan.queue and (options["mode"] == NAIVE or options["compare"]):
                raise BadPlan("The naive shop has no waiting room: omit --queue, or --compare and --mode naive.")
            if options["patience"] <= 0:
                raise BadPlan("--patience takes a number of seconds above 0.")
        except BadPlan as error:
            raise CommandError(str(error), returncode=BAD_OPTIONS) from error
        return plan

    def _print(
        self, verdict: SaleVerdict | None, naive_result: NaiveResult | None, *, as_json: bool, over_http: bool
    ) -> None:
        if as_json:
            found = report.as_json(verdict, over_http=over_http) if verdict is not None else {}
            if naive_result is not None:
                found = (
                    found | {"naive": report.naive_as_json(naive_result)}
                    if found
                    else report.naive_as_json(naive_result)
                )
            self.stdout.write(json.dumps(found))
            return
        console = Console(file=sys.stdout)
        if verdict is not None and naive_result is not None:
            report.print_comparison(verdict, naive_result, console)
        elif verdict is not None:
            report.print_verdict(verdict, console)
        elif naive_result is not None:
            report.print_naive(naive_result, console)


def _url(options: dict[str, Any]) -> str | None:
    """Where buyers order over HTTP; None where they do not.

    Raises:
        CommandError: the options do not fit together.
    """
    url: str | None = options["http"] or (HERE if options["queue"] else None)
    if url is None:
        return None
    if options["mode"] == NAIVE:
        raise CommandError("The naive shop has no HTTP: omit --http or --mode naive.", returncode=BAD_OPTIONS)
    if options["flow"] not in (None, settings.ORDER_FLOW):
        raise CommandError(
            f"Over HTTP the shop's own flow applies, which is {settings.ORDER_FLOW}: omit --flow, or start the shop "
            f"with ORDER_FLOW={options['flow']}.",
            returncode=BAD_OPTIONS,
        )
    if url == HERE:
        if not settings.LIVE_ORIGINS:
            raise CommandError("Give the shop's address: --http http://localhost:8000", returncode=BAD_OPTIONS)
        return str(settings.LIVE_ORIGINS[0])
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CommandError(f"--http takes an address such as http://localhost:8000, not {url}", returncode=BAD_OPTIONS)
    return url
