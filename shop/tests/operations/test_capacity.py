"""What a rate of orders takes is reckoned from what an order was measured to cost. E14."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from kafka_bridge.consuming import consumer_groups
from kafka_bridge.models import LagSample
from shop.operations.capacity import cost, plan, sentences

pytestmark = pytest.mark.operations
GROUPS = [group.name for group in consumer_groups.all_groups()]
# Round figures, so that what comes of them can be seen.
STEADY = {"web": 2.0, "orders": 10.0, "postgres": 20.0, "kafka-1": 4.0, "relay": 1.0, "redis": 0.1}


def measured(**changes: Any) -> cost.OrderCost:
    """An order whose costs are the round figures above."""
    load = cost.Load(rate=20.0, orders=100, ms_per_order=STEADY, connections={"web": 17, "orders": 2})
    busy = cost.Load(rate=None, orders=100, ms_per_order={"orders": 5.0, "relay": 0.5, "redis": 0.1}, connections={})
    figures: dict[str, Any] = {
        "at": "2026-11-28T12:00:00+00:00",
        "commit": "abc1234",
        "steady": load,
        "busy": busy,
        "ms_per_second_at_rest": {"orders": 10.0},
        "ms_per_page": {"web": 10.0, "postgres": 1.0, "timekeeper": 50.0},
        "kafka_bytes_per_order": {"all": 2000.0},
        "table_bytes_per_order": {"orders_order": 1000.0, "kafka_bridge_inboxrow": 500.0},
        "wal_bytes_per_order": {"all": 30_000.0},
        "messages_per_order": {"orders.events": 4.0},
        "handled_per_order": {"orders": 2.0, "notifications": 3.0},
    }
    return cost.OrderCost(**figures | changes)


def wish(rate: float, **changes: Any) -> plan.Wish:
    """So many orders a second, with nothing added unless it is said."""
    plain: dict[str, Any] = {"headroom": 1.0, "pages_per_order": 0.0, "gateway_seconds": 0.0, "mail_seconds": 0.0}
    return plan.Wish(**{"orders_per_second": rate, "mean_orders_per_second": rate} | plain | changes)


def role(name: str, made: plan.Plan) -> plan.RolePlan:
    """One role of a plan."""
    return next(each for each in made.roles if each.role == name)


def test_what_is_recorded_knows_every_role() -> None:
    recorded = cost.read().cost
    names = {"web", "live", "relay", "timekeeper", *GROUPS}
    assert names <= set(recorded.steady.ms_per_order)
    assert {name for name, ms in recorded.steady.ms_per_order.items() if ms > 0} >= {"web", "postgres", "orders"}
    assert set(GROUPS) - {"dead_letters"} <= set(recorded.handled_per_order)
    assert recorded.commit
    assert not recorded.commit.endswith("-dirty")


def test_the_page_shows_what_is_recorded() -> None:
    """A table to paste where it does not."""
    page = (Path(settings.BASE_DIR) / "docs" / "past-one-machine.md").read_text()
    recorded = cost.read()
    found = recorded.cost
    names = ["web", "live", "relay", "timekeeper", *GROUPS, "postgres", "kafka-1", "redis"]
    rows = [
        f"| {name} | {found.steady.ms_per_order[name]:.1f} | {found.busy.ms_per_order[name]:.1f} "
        f"| {found.ms_per_second_at_rest[name]:.1f} |"
        for name in names
    ]
    rows.append(f"| together | {found.steady.total_ms:.1f} | {found.busy.total_ms:.1f} | |")
    assert "\n".join(rows) in page
    assert f"commit {found.commit}" in page
    assert f"load of {recorded.machine['load']}" in page


def test_cores_are_the_rate_times_the_cost_and_what_is_taken_at_rest() -> None:
    orders = role("orders", plan.make(measured(), wish(250)))
    assert orders.processes == 3  # 2.5 cores
    assert orders.cores == pytest.approx(2.5 + 3 * 0.01)
    assert orders.cores_when_busy == pytest.approx(1.25 + 3 * 0.01)


def test_headroom_multiplies_and_pages_cost_those_who_serve_them() -> None:
    made = plan.make(measured(), wish(10, headroom=2.0, pages_per_order=5.0))
    assert role("web", made).cores == pytest.approx(10 * 2 * (2 + 5 * 10) / 1000)
    assert made.postgres.cores == pytest.approx(10 * 2 * (20 + 5 * 1) / 1000)
    assert role("timekeeper", made).cores == 0


def test_there_is_always_enough_of_a_role_that_one_can_be_replaced() -> None:
    made = plan.make(measured(), wish(0.1))
    assert {each.role: each.processes for each in made.roles} == {
        **dict.fromkeys(("web", "live", "relay", "timekeeper"), 2),
        **dict.fromkeys(GROUPS, 1),
    }
    assert (made.kafka.brokers, made.kafka.partitions) == (3, 3)


def test_who_waits_needs_processes_for_the_time_that_is_waited() -> None:
    made = plan.make(measured(), wish(100, gateway_seconds=0.64, mail_seconds=0.05))
    assert role("payments", made).processes == 4  # 100 orders, 2 calls of 0.64 s each, 32 at once
    assert role("notifications", made).processes == 15  # 100 orders, 3 mails of 0.05 s each


def test_partitions_suit_the_group_with_the_most_members_and_three_brokers() -> None:
    assert plan.make(measured(), wish(320)).kafka.partitions == 6  # 3.2 cores of orders
    seen = plan.make(measured(), wish(320, member_rates={"orders": 80.0}))
    assert role("orders", seen).processes == 8  # 640 messages
    assert seen.kafka.partitions == 9


def test_what_is_stored() -> None:
    made = plan.make(measured(), wish(10, mean_orders_per_second=1.0))
    assert made.kafka.stored_bytes == pytest.approx(2000 * 86_400 * 7 * 3)
    assert (made.kafka.days_kept, made.kafka.days_wanted) == (7, 7)
    assert made.postgres.bytes_per_day == pytest.approx(1000 * 86_400)
    assert made.postgres.passing_bytes == pytest.approx(500 * 86_400 * 40)
    assert made.postgres.wal_bytes_per_second == pytest.approx(300_000)


def test_a_topic_that_is_full_before_its_time_is_said_with_the_partitions_that_it_takes() -> None:
    rate = 500.0
    made = plan.make(measured(), wish(rate))
    assert made.kafka.days_kept < 7
    again = plan.make(measured(), wish(rate, member_rates={"orders": rate * 2 / made.kafka.partitions_for_days}))
    assert again.kafka.partitions == made.kafka.partitions_for_days
    assert again.kafka.days_kept == 7
    text = " ".join(sentences.of(made, cost.read()))
    assert f"KAFKA_PARTITIONS={made.kafka.partitions_for_days} keeps them" in text


def test_connections_are_those_of_all_processes_and_some_for_others() -> None:
    made = plan.make(measured(), wish(0.1))
    one_each = 2 * len(("live", "relay", "timekeeper")) + len(GROUPS) - 1
    assert made.postgres.connections == 2 * 17 + 2 + one_each + 20


def test_what_cannot_be_divided_is_said() -> None:
    assert plan.make(measured(), wish(1000)).too_much_for == {}
    too_much = plan.make(measured(), wish(4000))
    assert too_much.too_much_for == {"relay": pytest.approx(2.0)}
    assert any(
        "relay is one process" in text and "about 2,000 orders/s" in text
        for text in sentences.of(too_much, cost.read())
    )


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (43_700_000_000, "43.7 GB"), (2e18, "2,000 PB")]
)
def test_sizes_are_said_in_units(count: float, text: str) -> None:
    assert sentences.size(count) == text


# -- The command ------------------------------------------------------------------------------------------
def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command prints."""
    call_command("plan_capacity", *arguments)
    return capsys.readouterr().out


def test_the_command_needs_no_database_and_says_it_as_a_table_and_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "--orders-per-second", "50")
    assert all(name in text for name in ("web", *GROUPS, "PostgreSQL", "Redis", "Kafka"))
    assert "KAFKA_PARTITIONS=3" in text
    assert f"commit {cost.read().cost.commit}" in text


def test_the_command_says_the_same_to_machines(capsys: pytest.CaptureFixture[str]) -> None:
    found: Mapping[str, Any] = json.loads(run(capsys, "--orders-per-second", "50", "--json"))
    made = plan.make(cost.read().cost, plan.Wish(orders_per_second=50, mean_orders_per_second=50))
    assert found["cores"] == made.cores
    assert found["kafka"]["partitions"] == made.kafka.partitions
    assert {each["role"]: each["processes"] for each in found["roles"]} == {r.role: r.processes for r in made.roles}
    assert found["sentences"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--orders-per-second", "0"), "--orders-per-second takes a number from 0.001"),
        (("--orders-per-second", "nan"), "--orders-per-second takes a number"),
        (("--orders-per-second", "5", "--headroom", "0.5"), "--headroom takes a number from 1 to 100"),
        (("--orders-per-second", "5", "--mean-orders-per-second", "6"), "cannot be more than --orders-per-second"),
        (("--orders-per-second", "5", "--measured", "/nowhere"), "python -m benchmarks --only cost --json > FILE"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says.replace("|", r"\|")) as refused:
        call_command("plan_capacity", *arguments)
    assert refused.value.returncode == 2


def test_a_file_that_is_no_measurement_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text('{"machine": {}, "details": {}}')
    with pytest.raises(CommandError, match="has no measured cost of an order") as refused:
        call_command("plan_capacity", "--orders-per-second", "5", "--measured", str(file))
    assert refused.value.returncode == 2


def test_another_measurement_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.json"
    file.write_text(cost.RECORDED.read_text().replace(cost.read().cost.commit, "0ther00"))
    assert "commit 0ther00" in run(capsys, "--orders-per-second", "5", "--measured", str(file))


def test_a_rate_that_one_process_cannot_do_has_an_exit_code_of_its_own() -> None:
    with pytest.raises(CommandError, match="cannot be divided") as refused:
        call_command("plan_capacity", "--orders-per-second", "100000")
    assert refused.value.returncode == 4


@pytest.mark.django_db
def test_samples_are_used_where_they_show_a_busy_member(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="No member was seen") as refused:
        call_command("plan_capacity", "--orders-per-second", "50", "--from-samples")
    assert refused.value.returncode == 3
    now = timezone.now()
    for seconds, end in ((30, 0), (15, 1500), (0, 3000)):
        LagSample.objects.create(
            at=now - timedelta(seconds=seconds), group="inventory", topic="orders.events", partition=0,
            end=end, messages=10, owner="one",
        )  # fmt: skip
    found = json.loads(run(capsys, "--orders-per-second", "500", "--from-samples", "--json"))
    (inventory,) = (each for each in found["roles"] if each["role"] == "inventory")
    assert inventory["processes"] == 15  # 500 orders, 1.5 times, 2 messages each; one member was seen to do 100
