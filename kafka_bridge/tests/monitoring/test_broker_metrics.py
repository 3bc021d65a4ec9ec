"""Where brokers show their metrics, and what is believed of an answer."""

import dataclasses
import re
from typing import Any

import pytest
from django.core import checks

from kafka_bridge.monitoring.brokers import broker_metrics

pytestmark = pytest.mark.operations


def test_addresses_that_make_no_sense_are_told_by_a_check_and_left_out(settings: Any) -> None:
    good, bad = (
        "2=http://kafka-2:7071/metrics",
        ("1=https://k", "http://k", "x=http://k", "1=http://k:99999", "1=http://"),
    )
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, broker_metrics_urls=(good, *bad))
    told = [message.msg for message in checks.run_checks() if message.id == "kafka_bridge.E011"]
    assert [re.findall(r"has '([^']+)'", message) for message in told] == [[each] for each in bad]
    assert "KAFKA_METRICS_URLS" in told[0]
    assert broker_metrics.addresses([good, *bad]) == {2: "http://kafka-2:7071/metrics"}


@pytest.mark.parametrize(
    "text",
    ["<html>", "kafka_log_size_bytes 5", "kafka_broker_requests_total NaN", 'jvm_memory_used_bytes{area="heap"} -1'],
)
def test_nonsense_is_not_believed(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        broker_metrics.parse(text)


def test_what_is_not_shown_is_unknown() -> None:
    found = broker_metrics.parse("# HELP up it is\nup 1\n", is_here=True)
    assert dataclasses.replace(found, at=0) == broker_metrics.BrokerMetrics(at=0)
