"""The start page of the admin: figures that show whether the shop is healthy.

Every figure is read when the page is shown, from an index or a small table; the page refreshes every few seconds.
Users see the figures of what they may view.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

import money
from inventory.models import Stock
from kafka_bridge import admin as facts
from kafka_bridge.believing import refusals
from kafka_bridge.models import DeadLetter
from orders.models import Order, OrderMail, ReturnRequest, Status
from payments.models import Charge, Refund, Review
from shop.admin.operations import audits
from shop.admin.orders import filters, order_labels
from shop.admin.site import navigation
from shop.admin.stock import stock_queries
from shop.models import AuditRun, Book, DailySales
from shop.operations.alerts import board, stamps
from shop.templatetags.shop_words import FEW

DAYS = 14
LATEST = 8
SCARCE = 8
# A charge that waits for the buyer is polled many times without any trouble.
_TROUBLED = Q(unknown_since__isnull=False) | (Q(attempts__gt=1) & ~Q(state=Charge.State.ACTION_REQUIRED))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number with its title, linked to the list of its rows."""

    title: str
    value: str
    detail: str
    url: str
    is_alarming: bool = False


@dataclass(frozen=True, kw_only=True)
class StatusCount:
    """The number of today's orders with one status."""

    label: str
    number: int
    url: str


@dataclass(frozen=True, kw_only=True)
class DayBar:
    """One day's sales, for the chart."""

    day: date
    revenue: str
    confirmed: int
    percent: int
    """Relative to the best of the days shown."""


@dataclass(frozen=True, kw_only=True)
class LatestOrder:
    """A row of the table of latest orders."""

    order: Order
    url: str
    status: str
    stuck: str
    total: str


@dataclass(frozen=True, kw_only=True)
class ScarceBook:
    """A title with few free units."""

    title: str
    free: str
    held: int
    url: str


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Everything the start page shows; empty where the user has no permission."""

    read_at: datetime
    today: date
    figures: list[Figure]
    statuses: list[StatusCount]
    days: list[DayBar]
    latest: list[LatestOrder]
    scarce: list[ScarceBook]


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The context of the start page's template; `settings.UNFOLD` names this function."""
    return {**context, "shop": read_figures(request)}


def read_figures(request: HttpRequest) -> Figures:
    """Read everything that this user may view."""
    today = datetime.now(UTC).date()
    sees_orders = navigation.may_see(request, "orders", "order")
    days = _days(today) if navigation.may_see(request, "shop", "dailysales") else []
    statuses = _statuses(today) if sees_orders else []
    return Figures(
        read_at=timezone.now(),
        today=today,
        figures=list(_figures(request, statuses, days)),
        statuses=statuses,
        days=_bars(days, today),
        latest=_latest() if sees_orders else [],
        scarce=_scarce() if navigation.may_see(request, "inventory", "stock") else [],
    )


def _figures(request: HttpRequest, statuses: list[StatusCount], days: list[DailySales]) -> Iterable[Figure]:
    if navigation.may_see(request, "shop", "alertrecord"):
        yield _alerts()
    if navigation.may_see(request, "orders", "order"):
        orders = reverse("admin:orders_order_changelist")
        yield Figure(
            title="Orders today",
            value=f"{sum(status.number for status in statuses):,}",
            detail="placed since midnight UTC",
            url=orders,
        )
        yield _count("Stuck orders", filters.stuck_orders(), f"unconfirmed after {filters.STUCK_SECONDS} s",
                     f"{orders}?progress=stuck")  # fmt: skip
    if navigation.may_see(request, "shop", "dailysales"):
        yield _sales_today(days)
    if navigation.may_see(request, "kafka_bridge", "outboxrow"):
        yield _outbox()
    if navigation.may_see(request, "payments", "review"):
        open_reviews = Review.objects.filter(closed_at=None)
        url = f"{reverse('admin:payments_review_changelist')}?state=open"
        yield _count("Needs a person", open_reviews, "payments to look into", url)
    if navigation.may_see(request, "orders", "returnrequest"):
        is_open = ReturnRequest.objects.filter(state__in=ReturnRequest.OPEN)
        url = f"{reverse('admin:orders_returnrequest_changelist')}?state__in={','.join(ReturnRequest.OPEN)}"
        yield _count(
            "Open returns", is_open, "to be answered, or withdrawn and to be paid back", url, is_alarming=False
        )
    if navigation.may_see(request, "kafka_bridge", "deadletter"):
        parked = DeadLetter.objects.filter(state=DeadLetter.State.PARKED)
        url = reverse("admin:kafka_bridge_deadletter_changelist")
        yield _count("Dead letters", parked, "messages that need attention", f"{url}?state__exact=parked")
    if navigation.may_see(request, "kafka_bridge", "refusedmessage"):
        url = f"{reverse('admin:kafka_bridge_refusedmessage_changelist')}?state=open"
        yield _count("Refused messages", refusals.open_messages(), "stated by nobody of the shop", url)
    if navigation.may_see(request, "payments", "charge"):
        open_charges = Charge.objects.filter(state__in=Charge.OPEN)
        url = f"{reverse('admin:payments_charge_changelist')}?progress=open"
        yield _count("Open charges", open_charges, "neither captured nor cancelled yet", url,
                     is_alarming=open_charges.filter(_TROUBLED).exists())  # fmt: skip
    if navigation.may_see(request, "payments", "refund"):
        open_refunds = Refund.objects.filter(state=Refund.State.REQUESTED)
        url = reverse("admin:payments_refund_changelist")
        yield _count("Open refunds", open_refunds, "money still to be refunded", f"{url}?state__exact=requested",
                     is_alarming=open_refunds.filter(attempts__gt=1).exists())  # fmt: skip
    if navigation.may_see(request, "orders", "ordermail"):
        unsent = OrderMail.objects.filter(sent_at=None, failed_at=None)
        failed = OrderMail.objects.filter(failed_at__isnull=False, closed_at=None)
        url = reverse("admin:orders_ordermail_changelist")
        yield _count("Mails to send", unsent, "not accepted by the mail server yet", f"{url}?sending=unsent",
                     is_alarming=unsent.filter(attempts__gt=1).exists())  # fmt: skip
        yield _count("Mails that failed", failed, "try again, correct the address, or give up", f"{url}?sending=failed")
    if navigation.may_see(request, "inventory", "stock"):
        low = stock_queries.by_book(Stock.objects.all()).filter(all_free__lte=FEW)
        url = reverse("admin:inventory_stock_changelist")
        yield _count("Low stock", low, f"titles with {FEW} or fewer free", f"{url}?level=low", is_alarming=False)
    if navigation.may_see(request, "shop", "auditrun"):
        yield _last_audit()


def _count(title: str, rows: QuerySet[Any], detail: str, url: str, *, is_alarming: bool | None = None) -> Figure:
    """The number of rows, up to a limit; alarming if there are any, unless `is_alarming` says otherwise."""
    number = rows.order_by()[: facts.COUNT_LIMIT + 1].count()
    value = f"{number:,}" if number <= facts.COUNT_LIMIT else f"more than {facts.COUNT_LIMIT:,}"
    alarming = number > 0 if is_alarming is None else is_alarming
    return Figure(title=title, value=value, detail=detail, url=url, is_alarming=alarming)


def _alerts() -> Figure:
    url, found = reverse("admin:shop_alertrecord_changelist"), board.current()
    last = stamps.last()
    if last is None or timezone.now() - last[1] > timedelta(seconds=stamps.SILENT_SECONDS):
        since = f"not for {facts.as_age(timezone.now() - last[1])}" if last else "not yet"
        return Figure(title="Alerts", value="unknown", detail=f"evaluated {since}: is a timekeeper running?",
                      url=url, is_alarming=last is not None)  # fmt: skip
    critical = sum(alert.severity == "critical" for alert in found)
    detail = f"{critical} critical: {found[0].message}" if critical else found[0].message if found else "all is well"
    return Figure(title="Alerts", value=str(len(found)), detail=detail, url=f"{url}?state=now", is_alarming=bool(found))


def _outbox() -> Figure:
    backlog = facts.backlog()
    return Figure(
        title="Waiting for the relay",
        value=f"{backlog.rows:,}",
        detail=f"the oldest for {backlog.age}" if backlog.rows else "every event is in Kafka",
        url=reverse("admin:kafka_bridge_outboxrow_changelist") + "?relay=waiting",
        is_alarming=backlog.oldest is not None and backlog.oldest > timedelta(seconds=filters.STUCK_SECONDS),
    )


def _last_audit() -> Figure:
    url, last = reverse("admin:shop_auditrun_changelist"), AuditRun.objects.order_by("-started_at").first()
    if last is None:
        detail = "the timekeeper audits the shop every minute"
        return Figure(title="Last audit", value="none yet", detail=detail, url=url)
    age = audits.age_of(last)
    return Figure(
        title="Last audit",
        value="clean" if last.is_clean else f"{audits.broken_in(last)} wrong",
        detail=f"{facts.as_age(age)} ago, by {last.by}",
        url=url if last.is_clean else facts.page_of(AuditRun, last.pk),
        is_alarming=not last.is_clean or age > audits.STALE,
    )


def _sales_today(days: list[DailySales]) -> Figure:
    today = next((sales for sales in days if sales.day == datetime.now(UTC).date()), None)
    detail = "nothing counted yet today"
    if today is not None:
        orders = "order" if today.confirmed == 1 else "orders"
        units = "unit" if today.units == 1 else "units"
        detail = f"{today.confirmed:,} {orders} confirmed, {today.units:,} {units}"
    return Figure(
        title="Sales today",
        value=money.format_amount(today.revenue_minor if today else 0, settings.CURRENCY),
        detail=detail,
        url=reverse("admin:shop_dailysales_changelist"),
    )


def _statuses(today: date) -> list[StatusCount]:
    """All statuses in their order, with the number of today's orders; uses the index on `placed_at`."""
    midnight = datetime.combine(today, datetime.min.time(), tzinfo=UTC)
    rows = Order.objects.filter(placed_at__gte=midnight).order_by().values_list("status").annotate(Count("pk"))
    numbers = dict(rows)
    url = reverse("admin:orders_order_changelist")
    return [
        StatusCount(
            label=facts.label(status.label, order_labels.STATUS_COLOURS[status]),
            number=numbers.get(status.value, 0),
            url=f"{url}?status__exact={status.value}",
        )
        for status in Status
    ]


def _days(today: date) -> list[DailySales]:
    return list(DailySales.objects.filter(day__gt=today - timedelta(days=DAYS)).order_by("day"))


def _bars(sales: list[DailySales], today: date) -> list[DayBar]:
    """A bar for each of the last days, including days without sales; empty if there were no sales at all."""
    if not sales:
        return []
    by_day = {row.day: row for row in sales}
    best = max(max(row.revenue_minor for row in sales), 1)
    days = [today - timedelta(days=n) for n in reversed(range(DAYS))]
    return [_bar(day, by_day.get(day) or DailySales(day=day), best) for day in days]


def _bar(day: date, sales: DailySales, best: int) -> DayBar:
    return DayBar(
        day=day,
        revenue=money.format_amount(sales.revenue_minor, settings.CURRENCY),
        confirmed=sales.confirmed,
        percent=max(0, round(100 * sales.revenue_minor / best)),
    )


def _latest() -> list[LatestOrder]:
    orders = Order.objects.order_by("-placed_at", "-pk")[:LATEST]
    return [
        LatestOrder(
            order=order,
            url=facts.page_of(Order, order.pk),
            status=order_labels.status_label(order),
            stuck=order_labels.stuck_label(order),
            total=money.format_amount(order.total_minor, order.currency),
        )
        for order in orders
    ]


def _scarce() -> list[ScarceBook]:
    """Titles that are running out, if they are for sale."""
    on_sale = Stock.objects.exclude(sku__in=Book.objects.filter(is_listed=False).values("isbn"))
    rows: Any = stock_queries.by_book(on_sale).filter(all_free__lte=FEW).order_by("all_free", "sku")
    return [
        ScarceBook(
            title=row.title or row.sku,
            free=stock_queries.free_label(row.all_free),
            held=row.all_held,
            url=facts.page_of(Stock, row.pk),
        )
        for row in rows[:SCARCE]
    ]
