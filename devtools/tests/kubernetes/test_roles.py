"""Roles on Kubernetes are those of docker-compose.yml: the same commands, told the same, with as few rights."""

import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from devtools.local import roles
from devtools.tests import test_compose
from devtools.tests.kubernetes import manifests
from kafka_bridge.consuming import registry
from kafka_bridge.monitoring.brokers import broker_metrics
from kafka_bridge.runtime import clients
from shop.operations.processes import expected

pytestmark = pytest.mark.operations
ROLES = [*test_compose.DEMO_ROLES, "setup"]
BACKGROUND = [role for role in test_compose.DEMO_ROLES if role not in (roles.WEB, roles.LIVE)]
# Where the two differ in what a role is told, and why.
ONLY_IN_COMPOSE = {
    # Told by the Secret `bookrush`.
    "SECRET_KEY",
    # Only overlays with the sandbox bank have one.
    "SANDBOX_URL",
    "SANDBOX_PUBLIC_URL",
    # By default database 2 of REDIS_URL.
    "REDIS_STOCK_URL",
}
ONLY_ON_KUBERNETES = {
    "KAFKA_OBSERVERS",  # keda among them
    "BEHIND_TLS",
    "SHOW_DEMO_HINTS",
    "LOAD_TEST_NETWORKS",
    "KAFKA_PARTITIONS",
    "PAYMENT_GATEWAY",
    "DEFAULT_FROM_EMAIL",
    "EXPECTED_PROCESSES",
    "LOG_FORMAT",
}


def pod(role: str, overlay: str = "production") -> manifests.Document:
    """A role's pod."""
    return manifests.roles(overlay)[role]


def told(role: str, overlay: str = "production") -> dict[str, Any]:
    """What a role is told, by name."""
    return manifests.environment(overlay, pod(role, overlay))


def test_every_role_is_there_and_no_other() -> None:
    assert set(manifests.roles("production")) == set(ROLES)
    assert set(manifests.roles("small")) == {*ROLES, roles.GATEWAY}


@pytest.mark.parametrize("role", test_compose.DEMO_ROLES)
def test_a_role_runs_the_command_that_it_runs_in_compose(role: str) -> None:
    assert manifests.container(pod(role))["command"] == test_compose.command(test_compose.SERVICES[role])


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_told_what_settings_read_and_what_compose_tells_it(role: str) -> None:
    here = set(told(role)) - manifests.only_for_others(pod(role))
    assert here <= test_compose.names_read_by_settings()
    compose = {name for name, value in test_compose.SERVICES[role]["environment"].items() if value is not None}
    assert compose - here <= ONLY_IN_COMPOSE
    assert here - compose <= ONLY_ON_KUBERNETES


@pytest.mark.parametrize("role", test_compose.DEMO_ROLES)
def test_a_role_signs_in_as_itself(role: str) -> None:
    environment = told(role)
    assert (environment["BOOKRUSH_ROLE"], environment["ACCOUNT"]) == (role, role)
    key = f"{role.upper()}_PASSWORD"
    assert environment["ACCOUNT_PASSWORD"] == {"secretKeyRef": {"name": "bookrush-accounts", "key": key}}


def test_setup_makes_an_account_for_every_role_that_signs_in() -> None:
    made = dict(pair.split("=") for pair in told("setup")["ROLE_PASSWORDS"].split(","))
    assert made == {role: f"$({role.upper()}_PASSWORD)" for role in made}
    assert set(made) == {*test_compose.DEMO_ROLES, "operator", *told("setup")["KAFKA_OBSERVERS"].split(",")}
    for role in made:
        key = f"{role.upper()}_PASSWORD"
        assert told("setup")[key] == {"secretKeyRef": {"name": "bookrush-accounts", "key": key}}


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_what_setup_reads_is_applied_with_it(overlay: str) -> None:
    first = [each for each in manifests.built(overlay) if each["metadata"].get("labels", {}).get("applied") == "first"]
    assert {each["metadata"]["name"].partition("-")[0] for each in first} == {"setup", "settings", "administrator"}
    setup = str(manifests.roles(overlay)["setup"])
    assert all(each["metadata"]["name"] in setup for each in first if each["kind"] == "ConfigMap")


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_roles_have_no_rights_on_their_node_and_none_in_the_cluster(overlay: str) -> None:
    for role, each in manifests.roles(overlay).items():
        spec = each["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, role
        assert spec["automountServiceAccountToken"] is False, role
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"] is True, role
            assert rights["allowPrivilegeEscalation"] is False, role
            assert rights["capabilities"] == {"drop": ["ALL"]}, role
            assert "memory" in container["resources"]["limits"], role
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), role


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_a_service_does_not_change_what_a_role_is_told(overlay: str) -> None:
    """Kubernetes would set LIVE_PORT for the Service `live`, to an address."""
    for role, each in manifests.roles(overlay).items():
        assert each["spec"]["enableServiceLinks"] is False, role
    assert manifests.shared_settings(overlay)["LIVE_PORT"] == "0"


def test_pages_and_sockets_are_asked_whether_they_live_and_whether_they_are_ready() -> None:
    for role in (roles.WEB, roles.LIVE):
        container = manifests.container(pod(role))
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        (port,) = container["ports"]
        assert f"--port={port['containerPort']}" in container["command"]
        assert {container[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "liveness", "readiness")} == {
            port["name"]
        }


@pytest.mark.parametrize("role", BACKGROUND)
def test_a_role_without_a_port_is_asked_by_its_files(role: str) -> None:
    container = manifests.container(pod(role))
    for probe in ("startup", "readiness"):
        assert "$BOOKRUSH_READY_FILE" in container[f"{probe}Probe"]["exec"]["command"][-1]
    assert "$BOOKRUSH_ALIVE_FILE" in container["livenessProbe"]["exec"]["command"][-1]


def test_a_role_whose_file_is_old_or_missing_is_started_again(tmp_path: Path) -> None:
    command = manifests.container(pod("orders"))["livenessProbe"]["exec"]["command"]
    file = tmp_path / "alive"

    def lives() -> bool:
        environment = {**os.environ, "BOOKRUSH_ALIVE_FILE": str(file)}
        return subprocess.run(command, env=environment, check=False, stderr=subprocess.DEVNULL).returncode == 0  # noqa: S603

    assert not lives()
    file.touch()
    assert lives()
    os.utime(file, (time.time() - 100,) * 2)
    assert lives()
    os.utime(file, (time.time() - 300,) * 2)
    assert not lives()


def test_leaders_have_a_standby_and_every_role_a_budget() -> None:
    deployments = manifests.of_kind("production", "Deployment")
    assert {role: deployments[role]["spec"]["replicas"] for role in ("relay", "timekeeper")} == {
        "relay": 2,
        "timekeeper": 2,
    }
    budgets = manifests.of_kind("production", "PodDisruptionBudget").values()
    meant = [each["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] for each in budgets]
    assert sorted(meant) == sorted(test_compose.DEMO_ROLES)
    for deployment in deployments.values():
        labels = deployment["spec"]["selector"]["matchLabels"]
        spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert all(each["labelSelector"]["matchLabels"] == labels for each in spread)


def test_consumers_are_scaled_by_the_lag_of_what_they_hear_up_to_the_partitions() -> None:
    partitions = int(manifests.shared_settings("production")["KAFKA_PARTITIONS"])
    scaled = manifests.of_kind("production", "ScaledObject")
    assert set(scaled) == {group.name for group in registry.groups()}
    deployments = manifests.of_kind("production", "Deployment")
    for group in registry.groups():
        spec = scaled[group.name]["spec"]
        assert spec["maxReplicaCount"] == partitions
        assert "replicas" not in deployments[spec["scaleTargetRef"]["name"]]["spec"]
        triggers = [trigger["metadata"] for trigger in spec["triggers"]]
        assert sorted(each["topic"] for each in triggers) == sorted(clients.topic_name(t.name) for t in group.topics)
        assert {each["consumerGroup"] for each in triggers} == {f"bookrush.{group.name}"}
        assert {each["bootstrapServers"].partition(".")[0] for each in triggers} == {"kafka-kafka-bootstrap"}


def test_as_many_processes_are_expected_as_there_are_at_least() -> None:
    deployments = manifests.of_kind("production", "Deployment")
    scaled = manifests.of_kind("production", "ScaledObject")
    pages = manifests.of_kind("production", "HorizontalPodAutoscaler")
    least = {role: deployments[role.replace("_", "-")]["spec"].get("replicas", 1) for role in test_compose.DEMO_ROLES}
    least |= {name: each["spec"]["minReplicaCount"] for name, each in scaled.items()}
    least |= {name: each["spec"]["minReplicas"] for name, each in pages.items()}
    assert expected.parse(manifests.shared_settings("production")["EXPECTED_PROCESSES"]) == least


def test_metrics_are_shown_where_they_are_looked_for() -> None:
    port = manifests.shared_settings("production")["METRICS_PORT"]
    for role in ROLES:
        assert pod(role)["metadata"]["annotations"]["prometheus.io/port"] == port
    (rule,) = manifests.of_kind("production", "NetworkPolicy")["metrics"]["spec"]["ingress"]
    assert [each["port"] for each in rule["ports"]] == [int(port)]


def test_pages_are_scaled_by_what_they_use() -> None:
    scaler = manifests.of_kind("production", "HorizontalPodAutoscaler")["web"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == "web"
    assert "replicas" not in manifests.of_kind("production", "Deployment")["web"]["spec"]


def test_one_origin_as_the_proxy_of_compose_gives_it() -> None:
    caddyfile = (test_compose.ROOT / "deploy" / "caddy" / "Caddyfile").read_text()
    (matcher,) = re.findall(r"handle (\S+) \{\s*reverse_proxy \{\s*dynamic a live ", caddyfile)
    named = re.search(rf"{matcher} path (.*)", caddyfile)
    to_live = (named[1] if named else matcher).split()
    (rule,) = manifests.of_kind("small", "Ingress")["shop"]["spec"]["rules"]
    services = manifests.of_kind("small", "Service")
    routes = {path["path"]: path["backend"]["service"] for path in rule["http"]["paths"]}
    assert {path: service["name"] for path, service in routes.items()} == {
        "/live/": "live", "/ops": "live", "/kafka": "live", "/": "web",
    }  # fmt: skip
    led_there = tuple(path for path, service in routes.items() if service["name"] == "live")
    assert all(path.startswith(led_there) for path in to_live)
    for service in routes.values():
        (port,) = services[service["name"]]["spec"]["ports"]
        assert (port["name"], f"--port={port['port']}") in {
            (service["port"]["name"], word) for word in manifests.container(pod(service["name"], "small"))["command"]
        }
    assert rule["host"] in manifests.shared_settings("small")["ALLOWED_HOSTS"].split(",")
    bank = manifests.of_kind("small", "Ingress")["bank"]["spec"]["rules"][0]
    assert manifests.shared_settings("small")["SANDBOX_PUBLIC_URL"] == f"https://{bank['host']}"
    assert [path["path"] for path in bank["http"]["paths"]] == ["/challenges/"]


def test_redis_has_the_users_of_compose_and_is_told_all_their_passwords() -> None:
    (redis,) = manifests.of_kind("production", "StatefulSet")["redis"]["spec"]["template"]["spec"]["containers"]
    files = next(
        each["data"] for name, each in manifests.of_kind("production", "ConfigMap").items() if name.startswith("redis-")
    )
    folder = test_compose.ROOT / "deploy" / "redis"
    assert files == {name: (folder / name).read_text() for name in ("start.sh", "users.acl")}
    wanted = set(re.findall(r"\$\{(\w+)\}", files["users.acl"]))
    assert {each["name"] for each in redis["env"]} - {"REDISCLI_AUTH"} == wanted
    assert redis["args"][redis["args"].index("--maxmemory-policy") + 1] == "volatile-lru"


def test_brokers_keep_what_those_of_compose_keep() -> None:
    kafka = manifests.of_kind("production", "Kafka")["kafka"]["spec"]["kafka"]
    compose = test_compose.SERVICES["kafka-1"]["environment"]
    for name, value in kafka["config"].items():
        assert str(value).lower() == str(compose[f"KAFKA_{name.upper().replace('.', '_')}"]), name
    assert compose["KAFKA_SUPER_USERS"].endswith(f"User:{kafka['authorization']['superUsers'][0]}")
    listeners = {each["port"]: each["authentication"]["type"] for each in kafka["listeners"]}
    assert listeners == {9093: "scram-sha-512", 9094: "tls"}
    assert told("orders")["KAFKA_BOOTSTRAP_SERVERS"].endswith(":9093")
    assert told("setup")["KAFKA_BOOTSTRAP_SERVERS"].endswith(":9094")
    assert test_compose.SERVICES["kafka-shell"]["image"].endswith(f":{kafka['version']}")
    brokers = manifests.of_kind("production", "KafkaNodePool")["brokers"]["spec"]
    assert brokers["replicas"] == int(told("orders")["KAFKA_REPLICATION_FACTOR"])


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_each_broker_shows_its_jmx_by_the_rules_of_compose_and_roles_ask_there(overlay: str) -> None:
    config = manifests.of_kind(overlay, "Kafka")["kafka"]["spec"]["kafka"]["metricsConfig"]
    place = config["valueFrom"]["configMapKeyRef"]
    rules = manifests.of_kind(overlay, "ConfigMap")[place["name"]]["data"][place["key"]]
    assert rules == (test_compose.ROOT / "deploy" / "kafka" / "metrics.yml").read_text()
    brokers = manifests.of_kind(overlay, "KafkaNodePool")["brokers"]["spec"]["replicas"]
    asked = broker_metrics.addresses(manifests.shared_settings(overlay)["KAFKA_METRICS_URLS"].split(","))
    assert list(asked) == list(range(brokers))
    for number, url in asked.items():
        assert url == f"http://kafka-brokers-{number}.kafka-kafka-brokers:9404/metrics"


def test_what_roles_may_reach_is_what_they_are_told_to_use() -> None:
    policies = manifests.of_kind("production", "NetworkPolicy")
    ports = {port["port"] for rule in policies["roles"]["spec"]["egress"] for port in rule["ports"]}
    named = ("DATABASE_URL", "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_METRICS_URLS")
    addresses = " ".join(told("orders")[name] for name in named)
    assert ports == {53, *map(int, re.findall(r":(\d{4})", addresses))}


def test_the_brokers_administrator_gets_a_certificate_that_they_believe_for_a_day(tmp_path: Path) -> None:
    authority, own = str(tmp_path / "ca.crt"), str(tmp_path / "admin.pem")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(tmp_path / "ca.key")]
    run("openssl", "req", "-x509", *new_key, "-days", "2", "-subj", "/CN=clients", "-out", authority)
    run("sh", str(manifests.FOLDER / "shop" / "administrator.sh"), str(tmp_path), str(tmp_path))
    assert "OK" in run("openssl", "verify", "-purpose", "sslclient", "-CAfile", authority, own)
    subject = run("openssl", "x509", "-in", own, "-noout", "-subject", "-nameopt", "RFC2253")
    assert subject.strip() == "subject=CN=admin"
    tomorrow = run("openssl", "x509", "-in", own, "-noout", "-checkend", str(25 * 3600), is_failure=True)
    assert "will expire" in tomorrow
    assert "PRIVATE KEY" in Path(own).read_text()


def run(*command: str, is_failure: bool = False) -> str:
    """What a program prints."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own command line
    assert bool(done.returncode) is is_failure, done.stderr
    return done.stdout
