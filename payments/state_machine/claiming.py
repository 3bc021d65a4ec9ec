"""Taking charges and refunds that are due, for a while, to ask the gateway about them.

# Note [Never inside a transaction]
A call over a network takes as long as it takes, and its effect does not roll back. So a handler only writes that a
charge is *requested*; `gateway_worker.py` takes such rows for a while (a lease), calls the gateway with a key made of
the row's id, and gives the answer to `settlement.py`. A crash at any point leaves the row as it was taken; when the
lease is over, a worker asks again with the same key and gets the same answer.
"""

from datetime import timedelta
from typing import TypeVar

from django.conf import settings
from django.db.models import prefetch_related_objects

from payments.models import Charge, Refund
from payments.state_machine import transitions

Job = TypeVar("Job", Charge, Refund)

_DUE = ", ".join(f"'{state}'" for state in Charge.OPEN)
_BEGUN = " ".join(f"WHEN '{state}' THEN '{begun}'" for state, begun in transitions.ON_CLAIM.items())
# The states as in the index `charge_due`, which is of no use otherwise. An array, for it is made once: a plan may ask
# `IN (SELECT … LIMIT …)` again for each row, and claim more than that.
_CLAIM_CHARGES = f"""
UPDATE payments_charge SET attempts = attempts + 1, next_attempt_at = now() + %s,
    state = CASE state {_BEGUN} ELSE state END
WHERE id = ANY(ARRAY(
    SELECT id FROM payments_charge
    WHERE state IN ({_DUE}) AND next_attempt_at <= now()
    ORDER BY next_attempt_at LIMIT %s FOR UPDATE SKIP LOCKED
))
RETURNING *
"""  # noqa: S608 - made of states
_CLAIM_REFUNDS = """
UPDATE payments_refund SET attempts = attempts + 1, next_attempt_at = now() + %s
WHERE id = ANY(ARRAY(
    SELECT id FROM payments_refund WHERE state = 'requested' AND next_attempt_at <= now()
    ORDER BY next_attempt_at LIMIT %s FOR UPDATE SKIP LOCKED
))
RETURNING *
"""


def lease() -> timedelta:
    """How long a row is left to the worker that took it: longer than its one or two calls may take."""
    return timedelta(seconds=2 * settings.PAYMENT_TIMEOUT_SECONDS + 2)


def claim_charges(*, limit: int) -> list[Charge]:
    """Take charges that are due; nobody else gets them until the lease is over."""
    return _claim(Charge, _CLAIM_CHARGES, limit)


def claim_refunds(*, limit: int) -> list[Refund]:
    """Take refunds that are due; nobody else gets them until the lease is over."""
    refunds = _claim(Refund, _CLAIM_REFUNDS, limit)
    # The gateway's threads shall not need the database.
    prefetch_related_objects(refunds, "charge")
    return refunds


def _claim(model: type[Job], statement: str, limit: int) -> list[Job]:
    """One statement, and so one transaction: it is asked again and again, mostly for nothing."""
    return list(model.objects.raw(statement, [lease(), limit]))
