"""The snapshot as it goes over the wire: these bytes are what open pages and integrations read."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from devtools.testing.shop.orders import draft
from orders import queries
from orders.models import Order, Status
from orders.placing import placement

WIRE = (
    '{"type": "snapshot", "order": "%s", "reference": "%s", "version": 1, "status": "PENDING", "final": false, '
    '"headline": "Please confirm your payment", "detail": "Your bank wants to be sure that it is you who pays. Once '
    'you have confirmed it, your order goes on.", "reason": "", "payment_reference": "", "payment_wait": "action", '
    '"payment_url": "https://bank.example/3ds", "payment_until": "2020-01-02T03:04:05+00:00", '
    '"payment_seconds_left": 0, "tracking_number": "", "reductions": 0, "returned_minor": 0, "returns": 0, '
    '"paid_back_minor": 0, "slow": "", "steps": [{"code": "placed", "label": "Order placed", "state": "done", '
    '"at": "2020-01-01T00:00:00+00:00"}, {"code": "held", "label": "Books set aside", "state": "current", '
    '"at": null}, {"code": "paid", "label": "Your bank asks you to confirm", "state": "current", "at": null}, '
    '{"code": "confirmed", "label": "Confirmed", "state": "waiting", "at": null}, {"code": "shipped", '
    '"label": "Shipped", "state": "waiting", "at": null}, {"code": "delivered", "label": "Delivered", '
    '"state": "waiting", "at": null}]}'
)


@pytest.mark.django_db(transaction=True)
def test_the_socket_and_the_json_interface_tell_the_same_in_the_same_sequence() -> None:
    placed = placement.place(draft())
    Order.objects.filter(pk=placed.order_id).update(
        status=Status.PENDING,
        placed_at=datetime(2020, 1, 1, tzinfo=UTC),
        payment_wait="action",
        payment_url="https://bank.example/3ds",
        payment_until=datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC),
    )
    found = queries.snapshot(placed.order_id)
    told = json.dumps({"type": "snapshot", **msgspec.to_builtins(found)})
    assert told == WIRE % (placed.order_id, placed.reference)
    assert json.loads(msgspec.json.encode(found)) == {k: v for k, v in json.loads(told).items() if k != "type"}
