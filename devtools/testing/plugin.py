"""The pytest plugin: starts PostgreSQL and Redis for the run, says what it works against, offers the fixtures.

Loaded early (`-p devtools.testing.plugin` in pyproject.toml): the environment must be right before Django reads it.
"""

import asyncio
import contextlib
import dataclasses
import gc
import os
import shutil
import uuid
from collections.abc import Generator, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import pytest_django
import redis as redis_client
from confluent_kafka import TopicPartition
from confluent_kafka.admin import OffsetSpec
from django.conf import settings as django_settings
from django.db import connection, connections
from django.test import override_settings

from devtools.local import postgres
from devtools.local.errors import LocalError
from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.local.kafka.kafka_jars import KafkaUnavailable
from devtools.local.postgres import Postgres
from devtools.local.redis import Redis
from devtools.testing import browser, emptying, processes, selection, sharing
from devtools.testing.payments.sandbox_bank import InProcessGateway
from devtools.testing.services import Services
from devtools.testing.shop import mail_server as smtp
from kafka_bridge.runtime import clients, topics, waiting
from payments import gateways

SERVICES = pytest.StashKey[Services]()
BROWSER = pytest.StashKey[str]()
SHOP = pytest.StashKey[processes.Shop]()
DISTRIBUTED = "each process has a PostgreSQL, a Redis and a Kafka of its own"
NO_BROWSER = "there is no Chromium here (`make test` installs one where it can)"


# -- the run ------------------------------------------------------------------------------------
def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of our own."""
    parser.addoption(
        "--seeds", type=int, metavar="N", help="repeat what has seeds so often (the default is each test's own)"
    )
    selection.add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Start the services and point the settings at them, before pytest-django reads the settings."""
    services = Services()
    early_config.add_cleanup(services.stop)
    try:
        if not _is_distributing(early_config):
            services.start()
    except LocalError as error:
        raise pytest.UsageError(str(error)) from error
    os.environ.update(services.environment())
    early_config.stash[SERVICES] = services
    early_config.stash[BROWSER] = browser.find()
    yield


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say first what the run works against (also with `-q`)."""
    services, reporter = session.config.stash[SERVICES], session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    alone = not _is_distributing(session.config)
    lines = {
        "PostgreSQL": f"{services.postgres.version()} in {services.postgres.data}" if alone else DISTRIBUTED,
        "Redis": f"{services.redis.version()} at {services.redis.socket}" if alone else DISTRIBUTED,
        "Kafka": services.describe_kafka(),
        "browser": session.config.stash[BROWSER] or f"none: {NO_BROWSER}",
    }
    reporter.write_line("\n".join(f"{name + ':':<12}{text}" for name, text in lines.items()))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """All tests are loaded, and put aside from the garbage: see manage.py, Note [No garbage while loading]."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What the run has (see `selection`), and its sequence (see `sharing`)."""
    selection.select(config, items)
    items.sort(key=sharing.place_in_line)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> sharing.Scheduling:
    """How the tests are shared between several processes."""
    return sharing.Scheduling(config, log)


def _is_distributing(config: pytest.Config) -> bool:
    """Whether this process only hands the tests to others (pytest-xdist)."""
    return bool(config.known_args_namespace.numprocesses) and "PYTEST_XDIST_WORKER" not in os.environ


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Skip what this machine cannot run, with the reason; in CI that is a failure."""
    _stop_what_waits(item)
    if item.get_closest_marker("kafka") and (reason := item.config.stash[SERVICES].why_no_kafka()):
        _cannot_run(reason)
    if item.get_closest_marker("browser"):
        if not item.config.stash[BROWSER]:
            _cannot_run(NO_BROWSER)
        # Django takes Playwright's event loop for an asynchronous program and would refuse the database.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with _alone(item):
        yield


def _stop_what_waits(item: pytest.Item) -> None:
    """Stop the shop, then the broker, once the tests that need them are over.

    Twelve roles that wait for orders take a good part of a core, from all tests that follow. The sequence of the run
    brings the tests of a shop first, then those with a broker; where another one comes after all, both start again.
    """
    if not sharing.needs_shop(item.nodeid) and (shop := item.config.stash.get(SHOP, None)):
        shop.close()
    if not sharing.needs_broker(item.nodeid):
        item.config.stash[SERVICES].stop_kafka()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """See `_alone`."""
    with _alone(item):
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """See `_alone`; at the end of the run, Playwright itself is stopped."""
    with _alone(item) if nextitem else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def _alone(item: pytest.Item) -> Iterator[None]:
    """A test without a browser does not see the event loop that Playwright keeps in this thread from its first use on.

    In all its phases: with a running loop, Django would have other connections in the same thread.
    """
    loop = asyncio._get_running_loop()
    if loop is None or item.get_closest_marker("browser"):
        yield
        return
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)


def _cannot_run(reason: str) -> None:
    if django_settings.CI:
        pytest.fail(f"CI=true, and this test cannot run: {reason}", pytrace=False)
    pytest.skip(reason)


# -- PostgreSQL and Redis -------------------------------------------------------------------------
@pytest.fixture(scope="session")
def services(request: pytest.FixtureRequest) -> Services:
    """Everything that was started for the run."""
    return request.config.stash[SERVICES]


@pytest.fixture(scope="session", autouse=True)
def _no_guests(django_db_setup: None, services: Services) -> Iterator[None]:
    """Before the test database is dropped, end the sessions that threads of ours still have in it."""
    yield
    _close_connections()
    services.postgres.end_sessions()


@pytest.fixture(scope="session", autouse=True)
def _quick_database(django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker) -> None:
    """It is emptied in our own way; see `emptying`. There is none where no test of the run needs one."""
    if connection.settings_dict["NAME"] != postgres.USER:
        with django_db_blocker.unblock():
            emptying.Emptying().install()


@pytest.fixture(scope="session", autouse=True)
def _pages() -> None:
    """The admin's pages come with the URLs; some tests look at all of them before any address is asked for."""
    import_module(django_settings.ROOT_URLCONF)


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Passwords are hashed at once; what guards those of real accounts takes half a second each."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_static_files() -> Iterator[None]:
    """They are looked for when asked for; to list all of them takes each test client 20 ms."""
    with override_settings(WHITENOISE_AUTOREFRESH=True):
        yield


@pytest.fixture
def postgres_server(services: Services) -> Iterator[Postgres]:
    """The PostgreSQL of the run, to be killed and started by the test; it runs again afterwards."""
    yield services.postgres
    _close_connections()  # they led to a server that is no more
    if not services.supervisor.is_running("postgres"):
        services.postgres.start()


def _close_connections() -> None:
    """Those that tests with a browser use, and those of all others: see `_alone`."""
    seen, other = asyncio._get_running_loop(), asyncio.new_event_loop()
    try:
        for loop in (None, other):
            asyncio._set_running_loop(loop)
            connections.close_all()
    finally:
        asyncio._set_running_loop(seen)
        other.close()


@pytest.fixture
def redis_server(services: Services) -> Iterator[Redis]:
    """The Redis of the run, to be killed and started by the test; it runs again afterwards."""
    yield services.redis
    if not services.supervisor.is_running("redis"):
        services.redis.start()


@pytest.fixture(autouse=True)
def _empty_redis(services: Services) -> None:
    """No test sees what another left in Redis."""
    with redis_client.Redis.from_url(services.redis.url()) as client:
        client.flushall()


# -- the gateway ----------------------------------------------------------------------------------
@pytest.fixture
def sandbox_gateway(settings: Any, tmp_path: Path) -> Iterator[InProcessGateway]:
    """The sandbox as the gateway in use: its client and its server in this process, with a ledger of the test's own
    (`.bank`), without delays, and with a breaker that stays closed.
    """
    settings.PAYMENT_GATEWAY = "devtools.testing.payments.sandbox_bank.InProcessGateway"
    settings.PAYMENT_BREAKER_FAILURES = 1_000_000
    settings.SANDBOX_LATENCY_SECONDS = settings.SANDBOX_SLOW_SECONDS = 0
    settings.SANDBOX_STALL_SECONDS = 0.01
    settings.SANDBOX_LEDGER_PATH = str(tmp_path / "ledger.sqlite3")
    gateways.current.cache_clear()
    current = gateways.current().gateway
    if not isinstance(current, InProcessGateway):
        raise TypeError(f"{current} is not the sandbox in this process")
    yield current
    gateways.current.cache_clear()
    current.bank.close()


@pytest.fixture
def mail_server(settings: Any) -> Iterator[smtp.MailServer]:
    """A mail server that mails go to meanwhile; it can be slow, silent, or refuse."""
    with smtp.serving(settings) as running:
        yield running


# -- Kafka ----------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def _kafka_possible(services: Services) -> None:
    try:
        services.kafka()
    except KafkaUnavailable as error:
        _cannot_run(str(error))


@pytest.fixture
def real_kafka(_kafka_possible: None, services: Services) -> ApacheKafka:
    """A real Apache Kafka broker, the same for the whole run: `bootstrap_servers`, stop, start, kill, pause, resume."""
    return services.kafka()


@pytest.fixture(scope="module")
def kafka_cluster(_kafka_possible: None, services: Services) -> Iterator[ApacheKafka]:
    """Three brokers for the tests of a file; whoever stops or kills some starts them again. They are gone afterwards.

    To start them takes some fifteen seconds of a core.
    """
    folder = services.state.path / "kafka-cluster"
    shutil.rmtree(folder, ignore_errors=True)
    cluster = ApacheKafka(services.supervisor, folder=folder, jars=services.jars, brokers=3, name="cluster")
    cluster.start()
    yield cluster
    running = [broker.id for broker in cluster.brokers.values() if services.supervisor.is_running(broker.name)]
    if running:
        cluster.kill(*running)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def kafka(real_kafka: ApacheKafka, settings: Any) -> Iterator[ApacheKafka]:
    """The real broker with topics and groups of this test's own; `settings.KAFKA_BRIDGE` names them.

    A process that the test starts finds them by `kafka_environment(settings.KAFKA_BRIDGE)`.
    """
    prefix = f"t{uuid.uuid4().hex[:8]}."
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE,
        bootstrap_servers=real_kafka.bootstrap_servers,
        topic_prefix=prefix,
        group_prefix=prefix,
        group_protocol="consumer",
        replication_factor=1,
        min_insync_replicas=1,
    )
    topics.apply(topics.plan())
    waiting.until(lambda: _have_leaders(prefix), what="leaders of the topics", timeout_seconds=60)
    yield real_kafka
    real_kafka.resume()
    real_kafka.start()
    admin = clients.admin()
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
    for future in admin.delete_topics(names).values():
        future.result(timeout=30)


def _have_leaders(prefix: str) -> bool:
    """Whether every partition can be asked; a topic that was made just now is known a little earlier than that."""
    admin = clients.admin()
    places = {
        TopicPartition(name, number): OffsetSpec.latest()  # type: ignore[no-untyped-call]
        for name, topic in admin.list_topics(timeout=10).topics.items()
        if name.startswith(prefix)
        for number in topic.partitions
    }
    return not any(future.exception(timeout=10) for future in admin.list_offsets(places).values())


# -- the whole shop -------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def _shop(_kafka_possible: None, services: Services, request: pytest.FixtureRequest) -> Iterator[processes.Shop]:
    shop = processes.Shop(services)
    shop.open()
    request.config.stash[SHOP] = shop
    yield shop
    del request.config.stash[SHOP]
    shop.close()


@pytest.fixture
def running_shop(real_kafka: ApacheKafka, _shop: processes.Shop) -> processes.Shop:
    """All of the shop's processes at work on a database, Redis and topics of their own, seeded; every role running.

    The processes are shared by the tests of the run: a test stops and kills roles as it likes, the next one finds
    them started again.
    """
    _shop.ensure_running()
    return _shop


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the roles logged during a test that failed."""
    report = yield
    shop = item.funcargs.get("running_shop") if isinstance(item, pytest.Function) else None
    if report.failed and call.when == "call" and isinstance(shop, processes.Shop):
        report.sections.append(("logs of the roles", shop.logs()))
    return report
