"""Taking charges: `transitions` alone says where that brings them, and the database does exactly that."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from payments.models import Charge
from payments.state_machine import claiming, transitions

pytestmark = pytest.mark.django_db
State = Charge.State


@pytest.mark.parametrize("state", State)
def test_a_charge_that_is_taken_goes_where_the_table_says(state: State) -> None:
    an_hour_ago = timezone.now() - timedelta(hours=1)
    charge = Charge.objects.create(
        order_id=uuid.uuid4(), amount_minor=1250, currency="USD", state=state, next_attempt_at=an_hour_ago
    )
    taken = claiming.claim_charges(limit=10)
    charge.refresh_from_db()
    if state in Charge.OPEN:
        assert [row.pk for row in taken] == [charge.pk]
        assert taken[0].state == charge.state == transitions.ON_CLAIM.get(state, state)
        assert charge.attempts == 1
    else:
        assert (taken, charge.state, charge.attempts) == ([], state, 0)


def test_every_state_in_which_a_charge_is_taken_has_a_step() -> None:
    after = {transitions.ON_CLAIM.get(state, state) for state in Charge.OPEN}
    assert after == {state for state, _ in transitions.NEXT}


def test_the_index_of_what_is_due_has_the_states_that_are_taken() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_indexdef('charge_due'::regclass)")
        [definition] = cursor.fetchone()
    assert {state for state in State if f"'{state}'::" in definition} == set(Charge.OPEN)
