"""Where Prometheus looks at what the shop looks at itself, both have the same name, limit, time and severity."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from kafka_bridge.monitoring.heartbeats.heartbeat import MISSED_AFTER_SECONDS
from shop.operations.alerts.limits import Limits
from shop.operations.alerts.rules import RULES

pytestmark = pytest.mark.operations
DEPLOYED = Path(settings.BASE_DIR) / "deploy" / "prometheus" / "rules.yml"
USUAL = Limits()
OF_PROMETHEUS_ALONE = {
    "RoleMissing", "ProcessStuck", "NobodyLeads", "DependencyDown", "GatewayLeftAlone", "RequestsFail",
    "DescriptorsRunOut", "Watchdog",
}  # fmt: skip
LIMITS = {
    "process_missing": set[float](),
    "lag": {USUAL.lag},
    "lag_critical": {USUAL.lag_critical},
    "throughput_low": {USUAL.throughput_per_second, USUAL.behind_messages, USUAL.behind_seconds},
    "error_rate": {0, USUAL.error_percent / 100},
    "dead_letters": {USUAL.dead_letters},
    "outbox_old": {USUAL.outbox_seconds},
}
SECONDS = {"s": 1, "m": 60, "h": 3600}


def snake(name: str) -> str:
    """`LagCritical` as the shop has it."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def seconds(text: str) -> float:
    """Of a duration as Prometheus writes it, such as `15s`."""
    return float(text[:-1]) * SECONDS[text[-1]]


def limits_in(expression: str) -> set[float]:
    """Every number that something is held against."""
    return {float(number) for number in re.findall(r"[<>] ([0-9.]+)", expression)}


def test_the_rules_of_prometheus_are_those_of_the_shop() -> None:
    deployed: dict[str, dict[str, Any]] = {
        rule["alert"]: rule
        for group in yaml.safe_load(DEPLOYED.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    ours = {rule.name: rule for rule in RULES}
    assert not {snake(name) for name in OF_PROMETHEUS_ALONE} & ours.keys(), "one name, two meanings"
    shared = {snake(name): rule for name, rule in deployed.items() if name not in OF_PROMETHEUS_ALONE}
    assert shared.keys() == LIMITS.keys()
    for name, rule in shared.items():
        hold = ours[name].hold_seconds + (MISSED_AFTER_SECONDS if name == "process_missing" else 0)
        assert rule["labels"]["severity"] == ours[name].severity, name
        assert seconds(rule.get("for", "0s")) == hold, name
        assert limits_in(rule["expr"]) == LIMITS[name], name
