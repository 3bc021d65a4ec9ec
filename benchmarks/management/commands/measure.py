"""`manage.py measure TASK PARAMETERS`: runs a benchmark that needs the shop's own code, in a separate process."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from benchmarks.measured import bridge, commits, consumer_scaling, poison, search, stock
from inventory import stock_adjustments
from inventory.models import Stock
from shop import models
from shop.books import seed


class Command(BaseCommand):
    """Carries out one task of `python -m benchmarks`."""

    help = "A part of `python -m benchmarks`, which starts what it needs around it; of no use by itself."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Options of the command line."""
        parser.add_argument("task", choices=sorted(TASKS))
        parser.add_argument("parameters", type=json.loads, help="one JSON object")
        parser.add_argument("--result", type=Path, required=True, help="where the result goes, as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it and write the result."""
        result = TASKS[options["task"]](**options["parameters"])
        options["result"].write_text(json.dumps(result))


def prepare(*, units: int) -> dict[str, Any]:
    """Seed the shop, with so much of every book that none runs out; returns the books' skus."""
    seed.seed()
    skus = list(models.Book.objects.filter(is_listed=True).values_list("isbn", flat=True))
    with transaction.atomic():
        stock_adjustments.receive(quantities=dict.fromkeys(skus, units), reason="benchmark")
    return {"skus": skus}


def fill_outbox(*, count: int) -> dict[str, Any]:
    """So many rows for the relay."""
    bridge.fill_outbox(count)
    return {}


def sell_out() -> dict[str, Any]:
    """Take away all that is free of one book; returns its sku."""
    book = Stock.objects.filter(sale_id=None).order_by("bin").first()
    if book is None:
        raise ValueError("the shop has no stock")
    left = book.free
    with transaction.atomic():
        while left:
            taken = min(left, stock_adjustments.MOST_AT_ONCE)
            stock_adjustments.correct(sku=book.sku, change=-taken, reason="benchmark", by="benchmark")
            left -= taken
    return {"sku": book.sku}


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "prepare": prepare,
    "sell_out": sell_out,
    "fill-outbox": fill_outbox,
    "commits": commits.measure,
    "runner": bridge.measure_runner,
    "poison": poison.measure,
    "scaling": consumer_scaling.measure_scaling,
    "restart": consumer_scaling.measure_restart,
    "search": search.measure,
    "stock": stock.measure,
}
