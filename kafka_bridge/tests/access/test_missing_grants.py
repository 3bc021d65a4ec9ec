"""XB6: a right that is missing in PostgreSQL is no message's fault."""

import pytest
from django.db import ProgrammingError, connection, transaction

from kafka_bridge.runtime import error_classes

pytestmark = pytest.mark.security


@pytest.mark.django_db
def test_xb6_a_group_without_a_right_in_postgresql_waits_and_gives_no_message_up() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE without_rights")  # gone with the test's transaction
        with pytest.raises(ProgrammingError, match="permission denied") as refused, transaction.atomic():
            cursor.execute("SET LOCAL ROLE without_rights")
            cursor.execute("SELECT 1 FROM kafka_bridge_inboxrow")
    assert error_classes.is_infrastructure(refused.value)
