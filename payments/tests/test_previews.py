"""What a dead letter's page says payments would do."""

from uuid import uuid4

import pytest

from devtools.testing.bridge.bridge_events import cancelled
from payments.models import Charge, Refund
from payments.previews import preview_cancelled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]


def test_a_cancellation_says_what_would_go_back() -> None:
    order_id = uuid4()
    assert preview_cancelled(cancelled(order_id)).startswith("no money was taken")
    charge = Charge.objects.create(
        order_id=order_id, flow="reserve_first", amount_minor=123_405, currency="USD", state=Charge.State.SUCCEEDED
    )
    assert preview_cancelled(cancelled(order_id)) == "would refund 1,234.05 USD"
    Refund.objects.create(charge=charge, amount_minor=23_405, reason="one copy")
    assert preview_cancelled(cancelled(order_id)) == "would refund 1,000.00 USD"
    Refund.objects.create(charge=charge, amount_minor=100_000, reason="the rest")
    assert preview_cancelled(cancelled(order_id)).endswith("would change nothing")
