"""The gateway's own books against the orders, for tests of the running shop: who was charged what, and kept what."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from devtools.testing.processes import Shop
from payments.gateways import PaymentStatus
from payments.sandbox.bank import Bank
from payments.sandbox.books import Payment

LEDGER = "sandbox-gateway.sqlite3"
OPEN = (PaymentStatus.ACTION, PaymentStatus.AUTHORIZED)
PENDING = {"PENDING", "PAID", "SHIPPED"}


@contextmanager
def bank_of(shop: Shop) -> Iterator[Bank]:
    """The gateway's ledger, read past the gateway."""
    bank = Bank(Path(shop.environment["BOOKRUSH_STATE_DIR"]) / LEDGER)
    try:
        yield bank
    finally:
        bank.close()


def payments_of(shop: Shop, placed: Sequence[str]) -> dict[str, Payment]:
    """By order, the gateway's payment for it; an order for which it was never asked is absent."""
    with bank_of(shop) as bank:
        by_key = {payment.key: payment for payment in bank.statement()}
    rows = shop.query(
        "SELECT order_id::text, id::text FROM payments_charge WHERE order_id = ANY(%s::uuid[])", list(placed)
    )
    return {order_id: by_key[key] for order_id, key in rows if key in by_key}


def captured(shop: Shop, placed: Sequence[str]) -> int:
    """Of how many of these orders the gateway has taken the money."""
    return sum(payment.captured_minor > 0 for payment in payments_of(shop, placed).values())


def entries(shop: Shop, kind: str, placed: Sequence[str]) -> Counter[str]:
    """By order, how often the gateway's ledger has an entry of this kind that was carried out."""
    orders = {payment.transaction_id: order for order, payment in payments_of(shop, placed).items()}
    with bank_of(shop) as bank:
        return Counter(
            orders[entry.transaction_id]
            for entry in bank.entries()
            if entry.kind == kind and not entry.declined and entry.transaction_id in orders
        )


def ends(shop: Shop, placed: Sequence[str]) -> dict[str, int]:
    """How many of these orders are where: by status, and the cancelled ones by their reason."""
    rows = shop.query(
        "SELECT CASE status WHEN 'CANCELLED' THEN cancel_reason ELSE status END, count(*) FROM orders_order "
        "WHERE id = ANY(%s::uuid[]) GROUP BY 1",
        list(placed),
    )
    return {end: int(count) for end, count in rows}


def unknown_for_a_while(shop: Shop, placed: Sequence[str]) -> int:
    """How many of these orders were told that nobody knew whether they were paid."""
    [(count,)] = shop.query(
        "SELECT count(DISTINCT order_id) FROM orders_trailentry "
        "WHERE what = 'payment.unknown' AND order_id = ANY(%s::uuid[])",
        list(placed),
    )
    return int(count)


def wait_for_the_end(shop: Shop, placed: Sequence[str], *, timeout_seconds: float = 120) -> None:
    """Wait until all these orders have ended, and until no money of any order is under way."""
    shop.wait_until(
        lambda: not PENDING & ends(shop, placed).keys() and not _under_way(shop),
        what=f"{len(placed)} orders and their money to come to an end",
        timeout_seconds=timeout_seconds,
    )


def _under_way(shop: Shop) -> int:
    [(charges, refunds, events)] = shop.query(
        "SELECT (SELECT count(*) FROM payments_charge WHERE state NOT IN ('succeeded', 'failed', 'cancelled')), "
        "(SELECT count(*) FROM payments_refund WHERE state = 'requested'), "
        "(SELECT count(*) FROM kafka_bridge_outboxrow WHERE published_at IS NULL)"
    )
    return int(charges) + int(refunds) + int(events)


def assert_sums(shop: Shop, placed: Sequence[str]) -> None:
    """Of each of these orders the gateway keeps exactly what the order came to, or nothing where it was cancelled.

    No payment was captured twice, none is left open, none belongs to nobody; and the audit of the whole shop is clean.
    """
    payments = payments_of(shop, placed)
    rows = shop.query("SELECT id::text, status, total_minor FROM orders_order WHERE id = ANY(%s::uuid[])", list(placed))
    expected = {order: 0 if status == "CANCELLED" else total_minor for order, status, total_minor in rows}
    kept = {order: payment.captured_minor - payment.refunded_minor for order, payment in payments.items()}
    assert {order: kept.get(order, 0) for order in placed} == expected
    assert {order: payment for order, payment in payments.items() if payment.standing in OPEN} == {}
    assert set(entries(shop, "capture", placed).values()) <= {1}
    assert _orphans(shop) == set()
    assert_audit_is_clean(shop)


def _orphans(shop: Shop) -> set[str]:
    """Payments of the gateway that belong to no charge of ours."""
    ours = {key for (key,) in shop.query("SELECT id::text FROM payments_charge")}
    with bank_of(shop) as bank:
        return {payment.key for payment in bank.statement()} - ours


def assert_audit_is_clean(shop: Shop) -> None:
    """What the audit says of the whole shop, without any grace, as soon as the last event has been heard."""
    said = ""

    def clean() -> bool:
        nonlocal said
        try:
            shop.manage("audit", "--grace", "0")
        except AssertionError as error:
            said = str(error)
            return False
        return True

    try:
        shop.wait_until(clean, what="a clean audit", timeout_seconds=60)
    except TimeoutError:
        raise AssertionError(said) from None


def refunds_of_each(shop: Shop, placed: Iterable[str]) -> list[int]:
    """How many refunds each of these orders got at the gateway, in the order in which they were placed."""
    placed = list(placed)
    given = entries(shop, "refund", placed)
    return [given[order] for order in placed]
