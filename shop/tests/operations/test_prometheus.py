"""O3, E11: the real Prometheus scrapes a real shop; panels show something, rules see what they ask for."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devtools.local import ports
from devtools.local.prometheus import RULES, Prometheus
from devtools.local.roles import PROJECT
from devtools.testing import alert_receiver
from devtools.testing.alert_receiver import Receiver
from devtools.testing.processes import Shop
from devtools.testing.shop import buyers as buying
from devtools.testing.shop.buyers import Buyers

pytestmark = [pytest.mark.operations]
DEPLOYED = PROJECT / "deploy" / "prometheus"
DASHBOARDS = sorted((PROJECT / "deploy" / "grafana" / "dashboards").glob("*.json"))
ELSEWHERE = "bookrush-services"
"""The dashboard of the exporters and the proxy, which run only in compose."""
_NAMES = re.compile(r"\b(?:bookrush|process|kafka|caddy|pg|redis)[_:][a-zA-Z0-9_:]+|\bup\b|\bALERTS\b")
PROMETHEUS_OWN = {"up", "ALERTS"}
EXPORTERS = ("kafka_", "caddy_", "pg_", "redis_", "process_")


def expressions(dashboard: dict[str, Any]) -> list[str]:
    """All queries of its panels, as Grafana would send them with all chosen of each variable."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for variable in dashboard["templating"]["list"]:
        found = [expr.replace(f"${variable['name']}", variable["allValue"]) for expr in found]
    return found


def rules() -> list[dict[str, Any]]:
    """Of deploy/prometheus/rules.yml."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def dashboards() -> dict[str, dict[str, Any]]:
    """By their uid."""
    found = [json.loads(path.read_text()) for path in DASHBOARDS]
    return {dashboard["uid"]: dashboard for dashboard in found}


def check(*command: str | Path) -> None:
    """One of Prometheus' own tools has nothing to say against a file."""
    done = subprocess.run(  # noqa: S603 - our own command lines
        [*map(str, command)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_deployed_is_valid_and_each_rule_raises_what_it_should() -> None:
    check("promtool", "check", "config", DEPLOYED / "prometheus.yml")
    check("promtool", "check", "rules", RULES)
    check("promtool", "test", "rules", DEPLOYED / "rules_test.yml")
    check("amtool", "check-config", alert_receiver.DEPLOYED)


def test_each_alert_is_held_against_made_up_series() -> None:
    tested = (DEPLOYED / "rules_test.yml").read_text()
    patterns = re.findall(r'alertname: (\w+)|alertname=~?"([^"]+)"', tested)
    known = [re.compile(one or other) for one, other in patterns]
    untested = [
        rule["alert"] for rule in rules() if "alert" in rule and not any(p.fullmatch(rule["alert"]) for p in known)
    ]
    assert untested == []


def test_dashboards_and_rules_use_only_metrics_that_there_are() -> None:
    documented = set(re.findall(r"^\| `(\w+)` \| (\w+)", (PROJECT / "docs" / "metrics.md").read_text(), re.MULTILINE))
    ours = {
        name + suffix
        for name, kind in documented
        for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    } | {rule["record"] for rule in rules() if "record" in rule}
    used = [expr for dashboard in dashboards().values() for expr in expressions(dashboard)]
    used += [rule["expr"] for rule in rules()]
    names = {name for expr in used for name in _NAMES.findall(re.sub(r'"[^"]*"', '""', expr))}
    unknown = {name for name in names - ours - PROMETHEUS_OWN if not name.startswith(EXPORTERS)}
    assert unknown == set()


@pytest.fixture
def quick_shop(running_shop: Shop) -> Iterator[Shop]:
    """A shop whose lag is sampled each second."""
    running_shop.environment["LAG_SAMPLE_SECONDS"] = "1"
    running_shop.restart("timekeeper")
    yield running_shop
    del running_shop.environment["LAG_SAMPLE_SECONDS"]
    running_shop.stop("timekeeper")


@pytest.fixture
def watched(quick_shop: Shop, tmp_path: Path) -> Iterator[tuple[Prometheus, Receiver]]:
    """Prometheus and Alertmanager beside it."""
    supervisor = quick_shop.supervisor
    prometheus = Prometheus(supervisor, folder=tmp_path / "prometheus", port=ports.pick(1)[0])
    with alert_receiver.alertmanager(supervisor, tmp_path / "alertmanager") as receiver:
        prometheus.start(quick_shop.roles.metrics_addresses(), every="1s", alertmanagers=[receiver.address])
        yield prometheus, receiver
        prometheus.stop()


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.together
def test_each_panel_shows_something_and_an_alert_comes_and_goes(
    quick_shop: Shop, watched: tuple[Prometheus, Receiver]
) -> None:
    prometheus, receiver = watched
    buyers = Buyers(quick_shop, buying.most_of(quick_shop))
    buyers.order(2)
    buyers.order(1, card="pm_declined")
    quick_shop.stop("shipping")
    every_query = [expr for uid, board in dashboards().items() if uid != ELSEWHERE for expr in expressions(board)]
    # A condition that does not hold gives nothing; what it looks at does.
    every_query += [name for rule in rules() for name in _NAMES.findall(re.sub(r'"[^"]*"', '""', rule["expr"]))]

    def empty() -> list[str]:
        return [expr for expr in every_query if not prometheus.query(expr)]

    try:
        quick_shop.wait_until(lambda: not empty(), what="each panel shows something", timeout_seconds=120)
    except TimeoutError:
        pytest.fail("\n".join(["queries that give nothing:", *empty()]))
    quick_shop.wait_until(
        lambda: receiver.heard("ProcessMissing", "firing", role="shipping", severity="critical"),
        what="Alertmanager says that shipping is missing",
        timeout_seconds=60,
    )
    quick_shop.start("shipping")
    quick_shop.wait_until(
        lambda: receiver.heard("ProcessMissing", "resolved", role="shipping"),
        what="Alertmanager says that it is back",
        timeout_seconds=60,
    )
    [raised] = {alert["startsAt"] for alert in receiver.heard("ProcessMissing", "firing", role="shipping")}
    assert raised
    assert prometheus.query('ALERTS{alertname="Watchdog", alertstate="firing"}')
