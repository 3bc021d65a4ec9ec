"""`manage.py verify_receipt`: whether the receipt of a sale is as it was signed, and can be."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from shop.flashsales.receipts import document
from shop.site import terminal


class Command(BaseCommand):
    """Asks nobody: neither database nor broker need be there."""

    help = (
        "Check the receipt of a sale, offline: its signature, to the byte, and whether it contradicts itself (more "
        "sold than set aside, more copies than a customer may have, orders outside the sale, wrong sums). The key on "
        "it proves who signed only if it is the one that the shop has published: give that with --key. Exit code: 0, "
        "1 if it does not hold, 2 for options that make no sense."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument("file", type=Path, metavar="FILE", help="a receipt that `sale_receipt` wrote")
        parser.add_argument("--key", metavar="KEY", help="the shop's published key; another one on the receipt fails")
        parser.add_argument("--order", type=UUID, metavar="ID", help="also say whether this order is among the winners")
        parser.add_argument("--json", action="store_true", help="the verdict as one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, and say."""
        try:
            with options["file"].open("rb") as file:
                content = file.read(document.MOST_BYTES + 1)
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}", returncode=2) from error
        try:
            receipt = document.read(content)
        except document.BadReceipt as error:
            self._end(None, [f"{error}."], options)
            return
        problems = list(document.contradictions(receipt))
        if options["key"] and options["key"] != receipt.key:
            problems.append(f"it is signed with {receipt.key}, not with the key given")
        self._end(receipt, problems, options)

    def _end(self, receipt: document.Receipt | None, problems: list[str], options: dict[str, Any]) -> None:
        found = {} if receipt is None else _facts(receipt, options["order"])
        if options["json"]:
            self.stdout.write(json.dumps({"holds": not problems, "problems": problems, **found}))
        else:
            for problem in problems:
                self.stdout.write(f"It does not hold: {terminal.printable(problem)}")
            if receipt is not None:
                self.stdout.write("\n".join(map(terminal.printable, _lines(receipt, found))))
        if problems:
            raise SystemExit(1)


def _facts(receipt: document.Receipt, order: UUID | None) -> dict[str, Any]:
    facts = {"sale": receipt.name, "units": receipt.sums.units, "sold": receipt.sums.sold, "key": receipt.key}
    if order is None:
        return facts
    name = document.name_of(receipt.salt, order)
    return facts | {"order_has_won": any(winner.order == name for winner in receipt.winners)}


def _lines(receipt: document.Receipt, facts: dict[str, Any]) -> list[str]:
    sums = receipt.sums
    lines = [
        f"“{receipt.name}”, {receipt.starts_at:%Y-%m-%d %H:%M} to {receipt.ends_at:%H:%M} UTC, of {receipt.shop}:",
        f"  {sums.sold} of {sums.units} units sold in {sums.winners} orders, {sums.left} left; "
        f"{sum(sums.cancelled.values())} orders got none.",
        f"  Signed with {receipt.key}. Is that the key that the shop has published?",
    ]
    if "order_has_won" in facts:
        lines.append(f"  The order {'is' if facts['order_has_won'] else 'is NOT'} among the winners.")
    return lines
