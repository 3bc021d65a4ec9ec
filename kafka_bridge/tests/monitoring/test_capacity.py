"""How many partitions a rate takes, from what busy members were seen to handle."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from kafka_bridge.models import LagSample
from kafka_bridge.monitoring.groups import capacity

pytestmark = pytest.mark.django_db


def sample(
    seconds: float, *, read: int, left: int, owner: str = "one", partition: int = 0, group: str = "inventory"
) -> None:
    """So long ago the group had read so much, and so much was left."""
    LagSample.objects.create(
        at=timezone.now() - timedelta(seconds=seconds),
        group=group,
        topic="orders.events",
        partition=partition,
        committed=read,
        end=read + left,
        messages=left,
        owner=owner,
    )


def run(*options: str) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command("plan_partitions", *options, stdout=out)
    return out.getvalue()


def test_only_busy_members_count_and_their_partitions_add_up() -> None:
    at = timezone.now()
    for partition in (0, 1):
        sample(60, read=0, left=9000, partition=partition)
        sample(50, read=3000, left=6000, partition=partition)
        sample(40, read=5000, left=4000, partition=partition)
        sample(30, read=9000, left=0, partition=partition)  # caught up: who knows how fast it could have been
    # Samples of one round have one time.
    for read in (0, 3000, 5000, 9000):
        LagSample.objects.filter(committed=read).update(at=at - timedelta(seconds=60 - read / 150))
    rates = capacity.measured_rates()
    assert rates == {"inventory": pytest.approx(2 * 3000 / 20)}


@pytest.mark.parametrize("owners", [("one", "two"), ("", "")])
def test_a_partition_that_changed_hands_or_that_nobody_reads_tells_nothing(owners: tuple[str, str]) -> None:
    sample(60, read=0, left=9000, owner=owners[0])
    sample(50, read=3000, left=6000, owner=owners[1])
    assert capacity.measured_rates() == {}


def test_the_command_advises_from_samples() -> None:
    sample(60, read=0, left=9000)
    sample(50, read=4000, left=5000)
    said = json.loads(run("--rate", "1000", "--topic", "orders.events", "--json"))
    advice = {row["group"]: (row["members"], row["partitions_now"]) for row in said["groups"]}
    assert advice["inventory"] == (4, 3)  # 1,000/s with half as much again, by 400/s
    assert advice["payments"] == (None, 3)
    page = run("--rate", "1000", "--topic", "orders.events")
    assert "Set KAFKA_PARTITIONS=4 and run manage.py create_topics." in " ".join(page.split())


def test_a_named_rate_goes_before_samples() -> None:
    said = json.loads(run("--rate", "1000", "--member-rate", "2000", "--json"))
    assert {row["members"] for row in said["groups"]} == {1}


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--rate", "0"], 2, "--rate takes a number above 0."),
        (["--rate", "5", "--member-rate", "-1"], 2, "--member-rate takes a number above 0."),
        (["--rate", "5", "--headroom", "0.5"], 2, "--headroom takes a number from 1 to 100."),
        (["--rate", "5", "--topic", "nothing"], 2, "no topic nothing; there are: catalogue.updates, inventory.events"),
        (["--rate", "5"], 3, "No member was ever seen with more to do than it could"),
    ],
)
def test_it_says_what_is_missing(options: list[str], code: int, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as refused:
        run(*options)
    assert refused.value.returncode == code
