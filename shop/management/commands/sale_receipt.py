"""`manage.py sale_receipt`: who got what in a sale, signed."""

from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from shop.flashsales.receipts import document, writing
from shop.models import FlashSale
from shop.site import terminal


class Command(BaseCommand):
    """Reads; changes nothing."""

    help = (
        "Write the receipt of a sale that is over: the units set aside and sold, the winners under names that only "
        "they recognize, times and sums, and hashes of what the log held then; all of it signed. Whoever has the file "
        "can check it without the shop, with `verify_receipt`. Exit code: 0, 1 if it cannot be written yet or Kafka "
        "does not answer, 2 for options that make no sense, 3 if PostgreSQL cannot be reached."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of the command line."""
        parser.add_argument(
            "sale", nargs="?", type=int, metavar="SALE", help="the sale's number, as in the admin's address"
        )
        parser.add_argument("--output", type=Path, metavar="FILE", help="where to write it (default: standard output)")
        parser.add_argument("--without-log", action="store_true", help="do not read Kafka")
        parser.add_argument(
            "--show-key", action="store_true", help="only print the key that this shop signs with, to be published"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Draw it up, sign it, write it."""
        if options["show_key"]:
            self.stdout.write(document.public_part(document.shop_key()))
            return
        try:
            receipt = writing.draw_up(
                _sale(options["sale"]), with_log=not options["without_log"], say=self.stderr.write
            )
        except OperationalError as error:
            raise terminal.without_postgresql(error) from error
        except writing.NotYet as error:
            raise CommandError(str(error), returncode=1) from error
        except KafkaException as error:
            raise CommandError(f"The log cannot be read ({error.args[0]}): try again, or --without-log.") from error
        content = document.sign(receipt, document.shop_key())
        if options["output"]:
            options["output"].write_bytes(content)
            sums = receipt.sums
            self.stdout.write(f"{sums.sold} of {sums.units} units in {sums.winners} orders: {options['output']}")
        else:
            self.stdout.write(content.decode(), ending="")


def _sale(number: int | None) -> FlashSale:
    sale = FlashSale.objects.filter(pk=number or 0).first()
    if sale is None:
        known = ", ".join(f"{pk} ({name})" for pk, name in FlashSale.objects.values_list("pk", "name")[:20])
        raise CommandError(f"Say which sale: {known or 'there was none yet'}.", returncode=2)
    return sale
