"""Placing orders: validation, idempotency, group commit."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from devtools.testing.shop.orders import SKU, draft
from events import catalogue
from kafka_bridge import testing
from orders.models import Order, Status, TrailEntry
from orders.placing import placement

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_order_and_its_event_are_saved_together() -> None:
    wanted = draft(units={SKU: 2, "9780000000026": 1})
    placed = placement.place(wanted)

    order = Order.objects.get(pk=placed.order_id)
    assert (order.status, order.version, order.total_minor, order.reference) == (
        Status.PENDING, 1, 3750, placed.reference,
    )  # fmt: skip
    assert [(line.sku, line.quantity, line.unit_price_minor) for line in order.lines.all()] == [
        (SKU, 2, 1250),
        ("9780000000026", 1, 1250),
    ]
    assert testing.stated() == [
        catalogue.OrderCreated(
            order_id=placed.order_id,
            flow="reserve_first",
            lines=(
                catalogue.Line(sku=SKU, quantity=2, unit_price_minor=1250),
                catalogue.Line(sku="9780000000026", quantity=1, unit_price_minor=1250),
            ),
            total_minor=3750,
            currency="USD",
            payment_method="pm_success",
        )
    ]
    assert [entry.what for entry in TrailEntry.objects.filter(order=order)] == ["order.created"]


def test_the_same_key_gives_the_same_order() -> None:
    first = placement.place(draft(idempotency_key=(key := uuid.uuid4())))
    again = placement.place(draft(idempotency_key=key))

    assert (again.order_id, again.reference) == (first.order_id, first.reference)
    assert (first.created, again.created) == (True, False)
    assert len(testing.stated()) == 1


def test_other_contents_under_the_same_key_are_refused() -> None:
    placement.place(draft(idempotency_key=(key := uuid.uuid4())))
    with pytest.raises(placement.IdempotencyConflict):
        placement.place(draft(idempotency_key=key, units={SKU: 2}))
    assert Order.objects.count() == 1


def test_many_at_once_with_every_key_twice() -> None:
    keys = [uuid.uuid4() for _ in range(60)] * 2
    barrier = threading.Barrier(24)

    def order(key: uuid.UUID) -> placement.Placed:
        barrier.wait(10)
        return placement.place(draft(idempotency_key=key))

    with ThreadPoolExecutor(24) as pool:
        placed = list(pool.map(order, keys))

    assert Order.objects.count() == len({p.order_id for p in placed}) == 60
    assert sum(p.created for p in placed) == 60
    assert len(testing.stated(catalogue.OrderCreated)) == 60


def test_one_impossible_order_hurts_nobody_else() -> None:
    """The database refuses one of a batch; the others are committed all the same."""
    good = [draft() for _ in range(3)]
    bad = draft(currency="much too long for three letters")
    results = _settle_together([good[0], bad, *good[1:]])

    assert [type(result) for result in results] == [placement.Placed, placement.Placed, placement.Placed]
    assert Order.objects.count() == 3


def _settle_together(drafts: list[placement.Draft]) -> list[object]:
    """Hand all of them over while the first is still being committed, so that the rest make up one batch."""
    with ThreadPoolExecutor(len(drafts)) as pool:
        futures = [pool.submit(placement.place, each) for each in drafts]
    return [future.result() for future in futures if future.exception() is None]


@pytest.mark.parametrize("quantity", [0, -3, 21])
def test_quantities_out_of_range_are_refused_in_words(quantity: int) -> None:
    with pytest.raises(placement.InvalidDraft, match="quantity must be 1 to 20"):
        placement.place(draft(units={SKU: quantity}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lines": ()}, "1 to 50 lines"),
        ({"flow": "pay_later"}, "must be one of reserve_first, payment_first"),
        ({"price_minor": -1}, "price cannot be negative"),
    ],
)
def test_other_nonsense_is_refused_in_words(changes: dict[str, object], words: str) -> None:
    with pytest.raises(placement.InvalidDraft, match=words):
        placement.place(draft(**changes))  # type: ignore[arg-type]


def test_a_connection_killed_under_the_committer_places_once() -> None:
    """FAILURES 29: the outcome of a commit is unknown, so the same is tried again, and finds what there is."""
    placement.place(draft())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid != pg_backend_pid()"
        )
        assert cursor.rowcount >= 1
    key = uuid.uuid4()
    placed = placement.place(draft(idempotency_key=key))
    assert Order.objects.filter(idempotency_key=key).count() == 1
    assert placement.place(draft(idempotency_key=key)).order_id == placed.order_id
