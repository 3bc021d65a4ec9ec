"""The limits of a coupon hold however many buyers press at once, and a cancelled order gives its use back once."""

import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from devtools.testing.shop.orders import draft
from devtools.testing.shop.rates import a_coupon
from orders.actions import cancellation
from orders.coupons import uses
from orders.coupons.tables import Coupon
from orders.models import CouponUse, Order
from orders.placing import placement
from shop.prices import coupons

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.shop, pytest.mark.money]


def with_coupon(coupon: Coupon, *, email: str = "", **changes: Any) -> placement.Draft:
    """A draft of 12.50 with ten per cent off."""
    claim = coupons.claim_of(coupon, user_id=None, email=email or f"{uuid.uuid4().hex}@example.com")
    terms = placement.Terms(discount_minor=coupon.discount_minor(1250))
    return draft(claim=claim, coupon_code=coupon.code, terms=terms, **changes)


def placed_at_once(drafts: Sequence[placement.Draft]) -> Counter[str]:
    """As so many processes place them, each in a transaction of its own, all at the same moment."""
    start = threading.Barrier(len(drafts), timeout=60)

    def place(each: placement.Draft) -> str:
        try:
            start.wait()
            result = placement._commit_with_coupons([each])[0]
            if isinstance(result, placement.Placed):
                return "created" if result.created else "known"
            assert isinstance(result, uses.CouponRefused)
            return "refused"
        finally:
            connection.close()

    with ThreadPoolExecutor(len(drafts)) as pool:
        return Counter(pool.map(place, drafts))


def test_the_last_use_has_one_buyer() -> None:
    coupon = a_coupon(limit=2)
    found = placed_at_once([with_coupon(coupon) for _ in range(8)])
    assert found == {"created": 2, "refused": 6}
    assert (Coupon.objects.get().used, CouponUse.objects.count(), Order.objects.count()) == (2, 2, 2)


def test_one_person_at_once_has_it_once() -> None:
    coupon = a_coupon(limit_each=1)
    found = placed_at_once([with_coupon(coupon, email="ada@example.com") for _ in range(6)])
    assert found == {"created": 1, "refused": 5}


def test_a_double_click_on_the_last_use_is_one_order() -> None:
    coupon = a_coupon(limit=1)
    again = with_coupon(coupon, idempotency_key=uuid.uuid4())
    twins = [again, *(with_coupon(coupon, idempotency_key=again.idempotency_key) for _ in range(4))]
    assert placed_at_once(twins) == {"created": 1, "known": 4}
    assert Coupon.objects.get().used == 1


def test_a_group_commit_decides_the_same() -> None:
    coupon = a_coupon(limit=3, limit_each=1)
    drafts = [with_coupon(coupon, email=f"{letter}@example.com") for letter in "aabbcd"]
    results = placement._commit_with_coupons([*drafts, drafts[0]])
    kinds = [type(result).__name__ for result in results]
    assert kinds == ["Placed", "CouponRefused", "Placed", "CouponRefused", "Placed", "CouponRefused", "Placed"]
    assert Coupon.objects.get().used == 3


def test_what_staff_change_meanwhile_refuses_the_old_discount() -> None:
    coupon = a_coupon(limit=5)
    old = with_coupon(coupon)
    coupon.percent = 50
    coupon.save()
    with pytest.raises(placement.CouponRefused, match="has just been changed"):
        placement.place(old)
    assert (Order.objects.count(), Coupon.objects.get().used) == (0, 0)


def test_saving_a_coupon_leaves_its_count_alone() -> None:
    coupon = a_coupon(limit=5)
    placement.place(with_coupon(coupon))
    coupon.limit = 9
    coupon.save()
    assert Coupon.objects.values_list("used", "limit", "version").get() == (1, 9, 2)


def test_a_cancelled_order_gives_it_back_once() -> None:
    coupon = a_coupon(limit=1, limit_each=1)
    order_id = placement.place(with_coupon(coupon, email="ada@example.com")).order_id
    with pytest.raises(placement.CouponRefused, match="has been used up"):
        placement.place(with_coupon(coupon))
    with transaction.atomic():
        cancellation.cancel(order_id=order_id, reason="changed my mind", by="ada")
    for _ in range(2):
        with transaction.atomic():
            uses.give_back([order_id])
    assert Coupon.objects.get().used == 0
    placement.place(with_coupon(coupon, email="ada@example.com"))
    assert Coupon.objects.get().used == 1
