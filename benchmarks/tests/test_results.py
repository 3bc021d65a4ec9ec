"""Medians, spreads, aims, and the JSON that others read."""

import json

import pytest

from benchmarks import stats
from benchmarks.measured import relay, saga
from benchmarks.profile import BenchmarkOutcome
from benchmarks.results import METRICS, Results

ASKED_FOR = {
    "checkout_vs_orm",
    "checkout_vs_parse",
    "runner_vs_single",
    "runner_vs_plain",
    "single_vs_plain",
    "runner_vs_trusting",
    "single_vs_trusting",
    "poison_p99_ratio",
    "three_vs_one",
    "restart_consumer_s",
    "restart_classic_s",
    "relay_events_per_s",
    "confirmed_p50_ms",
    "confirmed_p99_ms",
    "click_p99_ms",
}


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(200, 0, -1)]
    assert [stats.percentile(values, percent) for percent in (0, 50, 99, 100)] == [1, 100, 198, 200]
    assert stats.percentile([7.0], 99) == 7
    with pytest.raises(ValueError, match="no values"):
        stats.percentile([], 50)


def test_the_slowest_do_not_count() -> None:
    assert stats.mean_of_fastest([1, 2, 3, 4, 1000], 80) == 2.5
    assert stats.mean_of_fastest([5], 80) == 5


def test_the_spread_is_relative_to_the_median() -> None:
    assert stats.spread_percent([90, 100, 120]) == 30
    assert stats.spread_percent([5]) == 0
    assert stats.spread_percent([0, 0]) == 0


def test_of_two_benchmarks_of_the_same_the_later_one_counts() -> None:
    results = Results(machine={})
    results.add({"confirmed_p50_ms": [200.0], "click_p50_ms": [9.0]})
    results.add({"confirmed_p50_ms": [80.0, 100.0, 90.0]})
    assert results.as_dict()["runs"] == {"click_p50_ms": [9], "confirmed_p50_ms": [80, 100, 90]}


def test_medians_stand_under_their_names_with_runs_and_aims() -> None:
    results = Results(machine={"cores": "2"}, problems=["relay: it did not start"])
    results.add({"checkout_vs_orm": [3.0, 4.5, 4.2], "click_p99_ms": [120.0], "checkout_per_s": [3141.59]})
    told = json.loads(json.dumps(results.as_dict()))
    assert (told["checkout_vs_orm"], told["click_p99_ms"], told["checkout_per_s"]) == (4.2, 120, 3142)
    assert told["runs"]["checkout_vs_orm"] == [3, 4.5, 4.2]
    assert told["aims"] == {
        "checkout_vs_orm": {"aim": 4, "better": "higher", "met": True},
        "click_p99_ms": {"aim": 100, "better": "lower", "met": False},
    }
    assert told["problems"] == ["relay: it did not start"]


def test_every_figure_that_was_asked_for_has_a_metric_with_an_aim() -> None:
    assert {metric.name for metric in METRICS if metric.aim is not None} >= ASKED_FOR
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_an_unknown_metric_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Results(machine={}).add({"checkouts": [1.0]})


def test_the_relay_is_timed_after_its_first_thousand() -> None:
    starting = [10.0] * 1000
    assert relay.rate(starting + [10.0 + number / 20_000 for number in range(1, 20_001)]) == pytest.approx(20_000)
    assert relay.rate([0.0, 0.5, 1.0, 1.5]) == 2


def test_hops_add_up_to_the_whole_way() -> None:
    timelines = [[float(step**2 + order) for step in range(len(saga.STEPS))] for order in range(3)]
    hops = saga.hop_latencies(timelines)
    assert len(hops) == len(saga.STEPS) - 1
    assert hops["clicked → order written"] == {"p50": 1000, "p99": 1000}
    outcome = BenchmarkOutcome()
    saga.note_latencies(outcome, timelines)
    assert outcome.runs["confirmed_p50_ms"] == [sum(hop["p50"] for hop in hops.values())]
    assert outcome.runs["placed_confirmed_p99_ms"] == [80_000]
    assert saga.medians([{"hop": {"p50": value}} for value in (1.0, 9.0, 2.0)]) == {"hop": {"p50": 2}}
