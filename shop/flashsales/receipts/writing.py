"""Drawing up the receipt of a sale, from orders, stock and the log."""

import hashlib
import secrets
import struct
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from django.conf import settings
from django.db.models import Prefetch
from django.utils import timezone

from inventory import queries
from inventory.models import pool_name
from kafka_bridge.consuming import registry
from kafka_bridge.replaying import log_reader, offset_ranges
from kafka_bridge.replaying.offsets import InvalidRequest
from orders.cancel_reasons import CancelReason
from orders.models import Order, OrderLine, Status
from shop.flashsales import flash_sales
from shop.flashsales.receipts import document
from shop.models import FlashSale

TOPIC = "orders.events"
_READER = "analytics"
"""A group that hears the topic; nothing is committed for it."""


class NotYet(Exception):
    """No receipt can be written now; the words say why, and what to do."""


def draw_up(sale: FlashSale, *, with_log: bool = True, say: Callable[[str], None] = lambda _: None) -> document.Receipt:
    """The receipt of a sale that is over; `say` hears what could not be had.

    Raises:
        NotYet: the sale is not over, orders of it are still open, or the books contradict each other.
        KafkaException: the log cannot be read.
    """
    orders = _orders(sale)
    _refuse_early(sale, orders)
    salt = secrets.token_hex(16)
    won = [order for order in orders if _has_won(order)]
    winners = [_winner(order, salt) for order in won]
    books = _books(sale, winners)
    lost = Counter(_reason(order) for order in orders if order.status == Status.CANCELLED and not _has_won(order))
    return document.Receipt(
        form=document.FORM,
        shop=settings.SHOP_URL,
        sale=sale.pk,
        name=sale.name,
        starts_at=_utc(sale.starts_at),
        ends_at=_utc(sale.ends_at),
        customer_limit=sale.customer_limit,
        currency=settings.CURRENCY,
        written_at=datetime.now(UTC),
        salt=salt,
        books=books,
        winners=winners,
        sums=document.Sums(
            units=sum(book.units for book in books),
            sold=sum(book.sold for book in books),
            left=sum(book.left for book in books),
            winners=len(winners),
            revenue_minor=sum(line.quantity * line.price_minor for each in winners for line in each.lines),
            cancelled=dict(lost),
        ),
        log=_log(sale, orders, say) if with_log else [],
        key=document.public_part(document.shop_key()),
    )


# -- The shop's books -------------------------------------------------------------------------------------
def _orders(sale: FlashSale) -> list[Order]:
    lines = Prefetch("lines", OrderLine.objects.filter(sale_id=sale.pk), to_attr="of_sale")
    ids = OrderLine.objects.filter(sale_id=sale.pk).values("order_id")
    return list(Order.objects.filter(pk__in=ids).prefetch_related(lines).order_by("placed_at", "pk"))


def _refuse_early(sale: FlashSale, orders: list[Order]) -> None:
    closes = flash_sales.closes_at(sale)
    if timezone.now() < closes:
        raise NotYet(
            f"The sale takes its last orders at {_utc(closes):%Y-%m-%d %H:%M:%S} UTC: write its receipt after that."
        )
    undecided = sum(order.confirmed_at is None and order.status != Status.CANCELLED for order in orders)
    if undecided:
        raise NotYet(f"{undecided} orders of the sale are neither confirmed nor cancelled yet: wait until they are.")


def _has_won(order: Order) -> bool:
    is_sold = order.confirmed_at is not None and order.status != Status.CANCELLED
    return is_sold and any(_kept(line) for line in order.of_sale)  # type: ignore[attr-defined]


def _kept(line: OrderLine) -> int:
    """Copies that were sold; those that came back later were sold as well."""
    return line.quantity - line.cancelled


def _winner(order: Order, salt: str) -> document.Winner:
    if order.confirmed_at is None:
        raise ValueError(f"order {order.pk} is not confirmed")
    return document.Winner(
        order=document.name_of(salt, order.pk),
        customer=document.name_of(salt, flash_sales.customer_of(order.user_id, order.email)),
        placed_at=_utc(order.placed_at),
        confirmed_at=_utc(order.confirmed_at),
        lines=[
            document.WonLine(sku=line.sku, quantity=_kept(line), price_minor=line.unit_price_minor)
            for line in order.of_sale  # type: ignore[attr-defined]
            if _kept(line)
        ],
    )


def _books(sale: FlashSale, winners: list[document.Winner]) -> list[document.SoldBook]:
    won: Counter[str] = Counter()
    for winner in winners:
        won.update({line.sku: line.quantity for line in winner.lines})
    found, rows = [], list(sale.books.select_related("book").order_by("book__isbn"))
    sold = queries.sold_by_pool(pool_name(row.book.isbn, sale.pk) for row in rows)
    for row in rows:
        sku = row.book.isbn
        by_inventory = sold.get(pool_name(sku, sale.pk), 0)
        if by_inventory != won[sku]:
            raise NotYet(
                f"{sku}: orders have {won[sku]} copies of the sale, and inventory sold {by_inventory}: "
                "see `manage.py audit` first."
            )
        found.append(
            document.SoldBook(
                sku=sku,
                title=row.book.title,
                price_minor=row.price_minor,
                units=row.units,
                sold=won[sku],
                left=row.units - won[sku],
            )
        )
    return found


def _reason(order: Order) -> str:
    reason = CancelReason.parse(order.cancel_reason)
    return str(reason.code) if reason else "unknown"


# -- The log ----------------------------------------------------------------------------------------------
def _log(sale: FlashSale, orders: list[Order], say: Callable[[str], None]) -> list[document.LogPart]:
    """From the sale's start to the last decision about one of its orders."""
    decided = [at for order in orders for at in (order.confirmed_at, order.cancelled_at) if at]
    stop = max([*decided, flash_sales.closes_at(sale)])
    group = registry.find(_READER)
    try:
        ranges = offset_ranges.plan_ranges(group, TOPIC, _utc(sale.starts_at), min(_utc(stop), datetime.now(UTC)))
    except InvalidRequest as error:
        say(f"Without the log: {error}.")
        return []
    return digest_ranges(ranges)


def digest_ranges(ranges: list[offset_ranges.OffsetRange]) -> list[document.LogPart]:
    """SHA-256 over the records of each range: offset, length and bytes of the key, length and bytes of the value.

    Raises:
        KafkaException: the brokers do not answer.
    """
    sums = {each.partition_id: hashlib.sha256() for each in ranges if len(each)}
    for batch in log_reader.read_messages(ranges):
        for message in batch:
            key, value = message.key() or b"", message.value() or b""
            place = str(message.topic()), int(message.partition() or 0)
            sums[place].update(struct.pack(">qq", message.offset() or 0, len(key)) + key)
            sums[place].update(struct.pack(">q", len(value)) + value)
    return [
        document.LogPart(
            topic=TOPIC,
            partition=each.log_range.partition,
            first=each.start,
            end=each.stop,
            sha256=sums[each.partition_id].hexdigest(),
        )
        for each in ranges
        if len(each)
    ]


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)
