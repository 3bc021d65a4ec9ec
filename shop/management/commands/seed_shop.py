"""`manage.py seed_shop`: give an empty shop its books."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from shop.books import seed
from shop.models import Book
from shop.prices import seed as price_seed


class Command(BaseCommand):
    """Adds only what is missing; safe to run at every start."""

    help = "Add the first books, shelves and stock. Running it again never raises stock nor changes a price."

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
        parser.add_argument(
            "--demo-users",
            action="store_true",
            help="also create the accounts admin/admin (staff) and reader/reader; never do this in a public shop",
        )
        parser.add_argument(
            "--demo-rates",
            action="store_true",
            help=f"also add rates of shipping and tax, and the coupon {price_seed.COUPON}, where there are none yet",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed, and print what was new."""
        is_empty = not Book.objects.exists()
        report = seed.seed()
        if is_empty:
            report.sales = seed.announce_sale()
        if options["demo_users"]:
            report.users = seed.seed_demo_users()
        has_rates = options["demo_rates"] and price_seed.seed()
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict()))
            return
        if report.books or report.categories:
            self.stdout.write(
                f"Added {report.books} books on {report.categories} shelves, {report.units} units in stock."
            )
        if report.sales:
            self.stdout.write("Announced a flash sale.")
        if has_rates:
            self.stdout.write(f"Added rates of shipping and tax, and the coupon {price_seed.COUPON}.")
        if not (report.books or report.categories):
            self.stdout.write("All books exist already; nothing was changed.")
        for name in report.users:
            self.stdout.write(f"Created the account {name} with the password {name}.")
