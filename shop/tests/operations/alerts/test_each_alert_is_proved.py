"""Each alert of the table has a test in which it really is raised and cleared, and told once each way."""

import ast
from pathlib import Path

import pytest

from shop.operations.alerts.rules import RULES

pytestmark = pytest.mark.operations
BREAKS, PILES_UP = "test_alerts_of_a_running_shop.py", "test_alerts_of_what_piles_up.py"
STANDS_STILL = f"{BREAKS}::test_a_group_that_stands_still_is_told_in_every_way_and_so_is_its_recovery"
WHAT_BREAKS = f"{BREAKS}::test_what_breaks_is_told_once_and_that_it_is_over_once"
AWAY = f"{BREAKS}::test_without_a_relay_a_timekeeper_a_broker_redis_or_postgresql_people_are_told"
WAITS = f"{PILES_UP}::test_letters_strangers_messages_late_mails_and_a_pause_are_told_once_and_their_end_once"
RUNS_OUT = f"{PILES_UP}::test_errors_retention_connections_a_disk_and_a_clock_are_told_once_and_their_end_once"
COPIES = f"{PILES_UP}::test_copies_out_of_step_and_partitions_without_a_leader_are_told_once_and_their_end_once"
CERTIFICATE = "test_certificate_alerts.py::test_a_certificate_that_ends_soon_is_told_once_and_that_it_is_renewed_once"
PROOFS = {
    "process_missing": WHAT_BREAKS,
    "mails_given_up": WHAT_BREAKS,
    "needs_a_person": WHAT_BREAKS,
    "audit_finding": WHAT_BREAKS,
    "lag": STANDS_STILL,
    "lag_critical": STANDS_STILL,
    "throughput_low": STANDS_STILL,
    "no_progress": STANDS_STILL,
    "orders_waiting": STANDS_STILL,
    "source_unreachable": AWAY,
    "relay_not_leaving": AWAY,
    "outbox_old": AWAY,
    "dead_letters": WAITS,
    "refused_messages": WAITS,
    "mails_late": WAITS,
    "paused_by_person": WAITS,
    "error_rate": RUNS_OUT,
    "retention_about_to_delete_unread": RUNS_OUT,
    "connections_near_limit": RUNS_OUT,
    "disk": RUNS_OUT,
    "clock_skew": RUNS_OUT,
    "under_replicated": COPIES,
    "no_leader": COPIES,
    "kafka_certificate": CERTIFICATE,
}


def test_each_alert_of_the_table_has_a_proof() -> None:
    assert set(PROOFS) == {rule.name for rule in RULES}


@pytest.mark.parametrize(("alert", "proof"), PROOFS.items())
def test_the_proof_is_there_and_names_the_alert(alert: str, proof: str) -> None:
    file, _, name = proof.partition("::")
    tree = ast.parse((Path(__file__).parent / file).read_text())
    assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
    assert alert in {each.value for each in ast.walk(tree) if isinstance(each, ast.Constant)}
