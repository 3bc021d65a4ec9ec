"""What can be checked of the containers without Docker: docker-compose.yml, Dockerfile, .env.example, deploy/."""

import ast
import itertools
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands
from django.urls import reverse

from devtools.local import roles
from devtools.local.kafka import kafka_jars
from kafka_bridge.consuming import consumer_groups
from kafka_bridge.monitoring.brokers import broker_metrics
from shop.access import database_roles

pytestmark = pytest.mark.security

ROOT = Path(settings.BASE_DIR)
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
BROKERS = ("kafka-1", "kafka-2", "kafka-3")
OWN = {name: service for name, service in SERVICES.items() if service["image"] == "bookrush:local"}
DEMO_ROLES = [roles.WEB, roles.LIVE, roles.RELAY, *roles.group_names(), roles.TIMEKEEPER]
# A role of the demo too, under a name that says more among so many services.
BANK = "sandbox-gateway"
# Nobody writes this one down: continuous integration sets it.
SET_BY_OTHERS = {"CI"}
# `${NAME}`, `${NAME:-default}`, `${NAME:?what to do}`
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def names_read_by_settings() -> set[str]:
    """Every variable that shop/settings asks the environment for."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "shop" / "settings").glob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "env"
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def example() -> dict[str, str]:
    """The variables of .env.example, commented out or not."""
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))


def command(service: dict[str, Any]) -> list[str]:
    """A service's command as a list, without what the environment adds."""
    found = service["command"]
    return shlex.split(VARIABLE.sub("", found)) if isinstance(found, str) else found


# -- The roles ----------------------------------------------------------------------------------------
def test_every_role_of_the_demo_has_a_service() -> None:
    assert set(DEMO_ROLES) <= set(OWN)
    assert all(OWN[role]["environment"]["BOOKRUSH_ROLE"] == role for role in DEMO_ROLES)
    assert OWN[BANK]["environment"]["BOOKRUSH_ROLE"] == roles.GATEWAY


@pytest.mark.parametrize("name", sorted(OWN))
def test_commands_of_our_services_exist(name: str) -> None:
    words = command(OWN[name])
    if "manage.py" not in words:
        assert words[0] in ("granian", "deploy/setup.sh", "bash") or words[:3] == ["python", "-m", "shop.live.server"]
        return
    verb, *arguments = words[words.index("manage.py") + 1 :]
    assert verb in get_commands()
    if verb == "run_consumer":
        assert [consumer_groups.find(group).name for group in arguments] == [name]


def test_setup_calls_commands_that_exist() -> None:
    called = re.findall(r"manage\.py (\w+)", (ROOT / "deploy" / "setup.sh").read_text())
    assert called == ["migrate", "create_database_roles", "create_topics", "create_acls", "seed_shop"]
    assert set(called) <= set(get_commands())


def test_leaders_have_a_standby() -> None:
    assert {role: SERVICES[role]["deploy"]["replicas"] for role in ("relay", "timekeeper")} == {
        "relay": 2,
        "timekeeper": 2,
    }


def test_pages_have_the_limits_of_the_demo() -> None:
    assert set(roles.WEB_BOUNDS) <= set(command(SERVICES["web"]))


def test_sockets_have_the_limits_of_the_demo() -> None:
    words = command(SERVICES["live"])
    assert f"--websocket-max-message-size={roles.FRAME_LIMIT_BYTES}" in words
    assert f"--websocket-max-frame-size={roles.FRAME_LIMIT_BYTES}" in words


def test_sockets_are_capped_by_the_address_of_the_visitor_not_of_the_proxy() -> None:
    assert "--proxy-headers" in command(SERVICES["live"])


def test_only_the_sandbox_gateway_opens_its_ledger() -> None:
    with_ledger = {name for name, service in OWN.items() if "SANDBOX_LEDGER_PATH" in service["environment"]}
    assert with_ledger == {BANK}
    folder = Path(OWN[BANK]["environment"]["SANDBOX_LEDGER_PATH"]).parent
    assert OWN[BANK]["volumes"] == [f"{BANK}:{folder}"]
    assert "replicas" not in OWN[BANK]["deploy"]


def test_the_shop_and_the_sandbox_gateway_find_each_other() -> None:
    gateway = OWN[BANK]["environment"]
    words = command(OWN[BANK])
    for name, service in OWN.items():
        assert service["environment"]["SANDBOX_URL"] == f"http://{BANK}:8002", name
    assert {"--host=0.0.0.0", "--port=8002"} <= set(words)
    assert gateway["SANDBOX_WEBHOOK_URL"] == f"http://web:8000{reverse('payment_webhook')}"
    assert "--port=8000" in command(OWN["web"])
    assert "web" in OWN["web"]["environment"]["ALLOWED_HOSTS"].split(",")
    assert set(OWN["web"]["networks"]) & set(OWN[BANK]["networks"])


def test_buyers_reach_the_banks_page_on_the_shops_origin() -> None:
    shop_url = VARIABLE.fullmatch(OWN["web"]["environment"]["SHOP_URL"])
    assert shop_url is not None
    assert OWN[BANK]["environment"]["SANDBOX_PUBLIC_URL"] == f"{shop_url.group()}/bank"
    assert shop_url["rest"] == example()["SHOP_URL"]
    caddyfile = (ROOT / "deploy" / "caddy" / "Caddyfile").read_text()
    (bank,) = re.findall(r"handle /bank/challenges/\* \{(.*?)\n\t\}\n", caddyfile, re.DOTALL)
    assert "uri strip_prefix /bank\n" in bank
    assert f"dynamic a {BANK} 8002" in bank


# -- The environment ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(OWN))
def test_our_services_are_told_only_what_settings_read(name: str) -> None:
    assert set(OWN[name]["environment"]) <= names_read_by_settings()


def test_example_names_every_variable_and_no_other() -> None:
    used_by_compose = {match["name"] for match in VARIABLE.finditer((ROOT / "docker-compose.yml").read_text())}
    assert set(example()) == (names_read_by_settings() | used_by_compose) - SET_BY_OTHERS


def test_example_explains_every_variable() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assignment = re.compile(r"#?[A-Z_]+=")
    for before, line in itertools.pairwise(lines):
        assert not assignment.match(line) or assignment.match(before) or before.startswith("# "), line


def test_no_secret_has_a_default() -> None:
    secret = re.compile(r"PASSWORD|SECRET")
    assert {name: value for name, value in example().items() if secret.search(name) and value} == {}
    for match in VARIABLE.finditer((ROOT / "docker-compose.yml").read_text()):
        assert not secret.search(match["name"]) or match["kind"] == "?", match.group()
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD$|PASS$|CLI_AUTH$|^SECRET", variable):
                assert VARIABLE.fullmatch(value), f"{name}: {variable}"


# -- The images ---------------------------------------------------------------------------------------
def test_our_images_are_built_once_and_never_looked_for_elsewhere() -> None:
    assert [name for name, service in SERVICES.items() if "build" in service] == ["kafka-1", "setup"]
    assert {service["pull_policy"] for service in (*OWN.values(), *map(SERVICES.__getitem__, BROKERS))} == {"never"}


def test_brokers_are_kafkas_own_image_with_the_agent_of_the_demo() -> None:
    assert {SERVICES[broker]["image"] for broker in BROKERS} == {"bookrush-kafka:local"}
    dockerfile = (ROOT / SERVICES["kafka-1"]["build"] / "Dockerfile").read_text()
    assert re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE) == [f"apache/kafka:{kafka_jars.version()}"]
    assert f"/jmx_prometheus_javaagent-{kafka_jars.agent_version()}.jar" in dockerfile
    assert re.search(r"^ADD --checksum=sha256:[0-9a-f]{64} ", dockerfile, re.MULTILINE)


def test_brokers_show_their_jmx_where_prometheus_and_the_shop_ask() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    [job] = [job for job in config["scrape_configs"] if job["job_name"] == "brokers"]
    [port] = {re.findall(r"0\.0\.0\.0:(\d+):", SERVICES[broker]["environment"]["KAFKA_OPTS"])[0] for broker in BROKERS}
    assert job["static_configs"] == [{"targets": [f"{broker}:{port}" for broker in BROKERS]}]
    asked = [broker_metrics.read_entry(each) for each in OWN["live"]["environment"]["KAFKA_METRICS_URLS"].split(",")]
    assert asked == [
        (SERVICES[broker]["environment"]["KAFKA_NODE_ID"], f"http://{broker}:{port}/metrics") for broker in BROKERS
    ]
    assert not any(f":{port}" in each for broker in BROKERS for each in SERVICES[broker]["ports"])


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - OWN.keys() - {*BROKERS}))
def test_images_are_pinned_to_a_release(name: str) -> None:
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.?\d*(-[a-z]+)?", SERVICES[name]["image"])


def test_our_image_stands_on_a_pinned_one_and_runs_without_rights() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    bases = set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE))
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", bases.pop())
    assert re.findall(r"^USER (\w+)", dockerfile, re.MULTILINE) == ["bookrush"]
    for name, service in OWN.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert "no-new-privileges:true" in service["security_opt"], name


# -- The brokers --------------------------------------------------------------------------------------
def test_brokers_keep_three_copies_and_lose_nothing() -> None:
    wanted = {
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_DEFAULT_REPLICATION_FACTOR": 3,
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": 3,
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": 3,
        "KAFKA_MIN_INSYNC_REPLICAS": 2,
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": 2,
        "KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE": "false",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@kafka-1:9093,2@kafka-2:9093,3@kafka-3:9093",
    }
    for broker in BROKERS:
        environment = SERVICES[broker]["environment"]
        assert {name: environment[name] for name in wanted} == wanted
    assert [SERVICES[broker]["environment"]["KAFKA_NODE_ID"] for broker in BROKERS] == [1, 2, 3]
    assert len({SERVICES[broker]["environment"]["CLUSTER_ID"] for broker in BROKERS}) == 1


def test_topics_are_made_for_three_brokers() -> None:
    for name, service in OWN.items():
        environment = service["environment"]
        assert (environment["KAFKA_REPLICATION_FACTOR"], environment["KAFKA_MIN_INSYNC_REPLICAS"]) == (3, 2), name
        port = 9094 if name == "setup" else 9092
        assert environment["KAFKA_BOOTSTRAP_SERVERS"] == ",".join(f"{broker}:{port}" for broker in BROKERS), name


def test_brokers_advertise_what_they_listen_on() -> None:
    for broker in BROKERS:
        environment = SERVICES[broker]["environment"]
        listeners = _listeners(environment["KAFKA_LISTENERS"])
        advertised = _listeners(environment["KAFKA_ADVERTISED_LISTENERS"])
        published = [port.rpartition(":")[2] for port in SERVICES[broker]["ports"]]
        assert advertised["INTERNAL"] == f"{broker}{listeners['INTERNAL']}"
        assert advertised["BROKER"] == f"{broker}{listeners['BROKER']}"
        assert advertised["HOST"] == f"localhost{listeners['HOST']}"
        assert published == [listeners["HOST"].lstrip(":")]


def _listeners(text: str) -> dict[str, str]:
    pairs = (listener.split("://") for listener in text.split(","))
    return {name: address for name, address in pairs}  # noqa: C416 - a pair is a list here


def test_redis_evicts_the_cache_and_never_a_stock_counter() -> None:
    words = SERVICES["redis"]["command"]
    assert words[words.index("--maxmemory-policy") + 1] == "volatile-lru"


# -- Who may do what ----------------------------------------------------------------------------------
def test_xb6_every_role_signs_in_as_itself_with_a_password_of_its_own() -> None:
    for role in DEMO_ROLES:
        environment = OWN[role]["environment"]
        assert environment["ACCOUNT"] == role
        assert VARIABLE.fullmatch(environment["ACCOUNT_PASSWORD"])["name"] == f"{role.upper()}_PASSWORD"  # type: ignore[index]
        assert "@" not in environment["DATABASE_URL"] + environment["REDIS_URL"]
        assert (environment["KAFKA_SECURITY_PROTOCOL"], environment["KAFKA_SASL_MECHANISM"]) == (
            "SASL_SSL", "SCRAM-SHA-512",
        )  # fmt: skip


def test_xb6_setup_makes_an_account_for_every_role_that_signs_in() -> None:
    made = dict(pair.split("=", 1) for pair in SERVICES["setup"]["environment"]["ROLE_PASSWORDS"].split(","))
    observers = {"operator", "kafka_ui", "kafka_exporter", "postgres_exporter"}
    assert set(made) == {*DEMO_ROLES, *observers}
    assert all(VARIABLE.fullmatch(password)["name"] == f"{role.upper()}_PASSWORD" for role, password in made.items())  # type: ignore[index]
    assert {role.name for role in database_roles.ROLES} <= set(made)


def test_xb6_redis_is_told_every_password_that_its_users_have() -> None:
    wanted = set(re.findall(r"\$\{(\w+)\}", (ROOT / "deploy" / "redis" / "users.acl").read_text()))
    told = {name for name in SERVICES["redis"]["environment"] if name.endswith("_PASSWORD")}
    assert told == wanted


def test_xb6_only_brokers_and_administrators_have_keys() -> None:
    with_keys = {name for name, each in SERVICES.items() if any("certificates:" in v for v in each.get("volumes", []))}
    assert with_keys == {*BROKERS, "certificates", "setup", "kafka-shell"}


def test_xb6_brokers_take_nobody_without_a_name_and_refuse_what_no_list_allows() -> None:
    for broker in BROKERS:
        environment = SERVICES[broker]["environment"]
        assert "PLAINTEXT" not in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"]
        assert environment["KAFKA_AUTHORIZER_CLASS_NAME"].endswith(".StandardAuthorizer")
        assert "KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND" not in environment


# -- Starting, stopping, reaching ----------------------------------------------------------------------
def test_roles_start_after_setup_and_setup_after_what_it_needs() -> None:
    for role in (*DEMO_ROLES, BANK):
        assert SERVICES[role]["depends_on"] == {"setup": {"condition": "service_completed_successfully"}}
    assert SERVICES["setup"]["depends_on"] == {
        name: {"condition": "service_healthy"} for name in (*BROKERS, "postgres", "redis")
    }


def test_whoever_is_waited_for_can_say_that_it_is_healthy() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[other].get("healthcheck", {}), f"{name} waits for {other}"


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"setup", "certificates"}))
def test_services_come_back_within_limits(name: str) -> None:
    service = SERVICES[name]
    assert "memory" in service["deploy"]["resources"]["limits"]
    if "tools" not in service.get("profiles", []):
        assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("role", [*DEMO_ROLES, BANK])
def test_roles_say_when_they_are_at_work(role: str) -> None:
    test = " ".join(OWN[role]["healthcheck"]["test"])
    assert ("/healthz" in test) if role in (roles.WEB, roles.LIVE, BANK) else ("BOOKRUSH_READY_FILE" in test)
    assert OWN[role]["stop_grace_period"] == "20s"


def test_published_ports_are_unique_and_on_loopback() -> None:
    ports = [VARIABLE.sub(lambda m: m["rest"] or "", port) for s in SERVICES.values() for port in s.get("ports", [])]
    published = [port.rpartition(":")[0] for port in ports]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert len(published) == len(set(published))
    assert {"127.0.0.1:8000", "127.0.0.1:8080"} <= set(published)


def test_volumes_are_named_and_used() -> None:
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    named = {source for source in mounted if not source.startswith("./")}
    assert named == set(COMPOSE["volumes"])
    assert all((ROOT / source).exists() for source in mounted - named)


def test_profiles() -> None:
    by_profile: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        for profile in service.get("profiles", ["always"]):
            by_profile.setdefault(profile, set()).add(name)
    assert by_profile["observability"] == {
        *("prometheus", "alertmanager", "grafana", "kafka-exporter", "postgres-exporter", "redis-exporter")
    }
    assert by_profile["tools"] == {"shell", "psql", "redis-cli", "kafka-shell"}
    assert by_profile["always"] == {
        *BROKERS,
        "certificates",
        "postgres",
        "redis",
        "setup",
        "proxy",
        "kafka-ui",
        BANK,
        *DEMO_ROLES,
    }


# -- Proxy, Prometheus, Grafana -------------------------------------------------------------------------
def test_proxy_leads_to_the_ports_of_those_behind_it() -> None:
    upstreams = re.findall(r"dynamic a (\S+) (\d+)", (ROOT / "deploy" / "caddy" / "Caddyfile").read_text())
    assert upstreams == [("live", "8001"), (BANK, "8002"), ("web", "8000")]
    assert all(f"--port={port}" in command(SERVICES[service]) for service, port in upstreams)


def test_prometheus_asks_only_services_that_exist() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    jobs = config["scrape_configs"]
    targets = [t for job in jobs for group in job.get("static_configs", ()) for t in group["targets"]]
    assert {target.split(":")[0] for target in targets} - {"localhost"} <= set(SERVICES)
    # And every role of the shop, on the port that compose gives to all of them.
    [roles] = [found for job in jobs for found in job.get("dns_sd_configs", ())]
    assert set(roles["names"]) == set(DEMO_ROLES)
    assert str(roles["port"]) == str(OWN["relay"]["environment"]["METRICS_PORT"])


def test_dashboards_use_the_provisioned_source() -> None:
    grafana = ROOT / "deploy" / "grafana"
    source = yaml.safe_load((grafana / "provisioning" / "datasources" / "prometheus.yml").read_text())
    dashboards = [json.loads(path.read_text()) for path in (grafana / "dashboards").glob("*.json")]
    used = {panel["datasource"]["uid"] for dashboard in dashboards for panel in dashboard["panels"]}
    assert used == {source["datasources"][0]["uid"]}
