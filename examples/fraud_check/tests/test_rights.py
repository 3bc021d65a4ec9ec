"""What an added service may do where each role has exactly its rights; it follows from the handlers and the setting."""

import pytest
from django.core.management import call_command

from examples.fraud_check.models import FraudReview, SeenOrder
from kafka_bridge.access import roles
from kafka_bridge.runtime import topics
from shop.access import database_roles
from shop.operations.processes import expected

pytestmark = pytest.mark.window


def test_its_role_in_postgresql_has_its_own_tables_and_no_others() -> None:
    found = {role.name: role for role in database_roles.all_roles()}
    own = found["fraud_check"]
    assert own.group == "fraud_check"
    writes_all = {model for model, rights in own.rights().items() if rights == database_roles.ALL}
    assert {model for model in writes_all if model._meta.app_label != "kafka_bridge"} == {SeenOrder, FraudReview}
    assert FraudReview in found["web"].rights()
    assert not any(FraudReview in found[name].rights() for name in ("orders", "payments", "live"))


def test_its_role_on_the_brokers_hears_its_topics_and_states_nothing() -> None:
    rights = {(right.name, right.operation) for right in roles.wanted() if right.role == "fraud_check"}
    heard = ("orders.events", "payments.events")
    own = [topics.retry_topic_name(topic, "fraud_check") for topic in heard]
    assert {name for name, operation in rights if operation == "READ" and name.startswith(heard)} == {*heard, *own}
    assert {name for name, operation in rights if operation == "WRITE"} == {
        *own, *(topics.dead_letter_topic_name(topic, "fraud_check") for topic in heard)
    }  # fmt: skip


@pytest.mark.django_db
def test_migrations_of_added_services_are_complete() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_a_process_for_it_is_expected() -> None:
    assert "fraud_check" in expected.roles()
