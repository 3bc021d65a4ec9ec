"""The environment of the benchmarks: separate services, databases, topics and processes, removed afterwards."""

import dataclasses
import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from benchmarks import load
from devtools.local import ports, postgres, redis
from devtools.local.errors import LocalError
from devtools.local.kafka import kafka_choice
from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.local.kafka.embedded_kafka import EmbeddedKafka
from devtools.local.roles import PROJECT, SANDBOX, Roles
from devtools.local.state_dir import StateDir
from devtools.local.supervisor import Command, Supervisor

# More than any run sells, and far below the maximum of the column.
UNITS_OF_EACH_BOOK = 10_000_000
_TEMPLATE = "seeded"


class TaskFailed(Exception):
    """A benchmark process failed; the message has the end of its log."""


class BenchmarkEnvironment:
    """A context in which the services run; nothing is left behind."""

    def __init__(self, *, state: Path, kafka: str, stop: threading.Event, say: Callable[[str], None]) -> None:
        """`state` is the project's state folder; a temporary folder is created in it, and its downloads are used."""
        downloads = state / "java"
        downloads.mkdir(parents=True, exist_ok=True)
        self._folder = StateDir(Path(tempfile.mkdtemp(prefix="bench-", dir=state)))
        (self._folder.path / downloads.name).symlink_to(downloads, target_is_directory=True)
        self._supervisor = Supervisor(logs=self._folder.logs, stop=stop, say=say)
        self._kafka = kafka
        self._say = say
        self._results = 0
        self._choice: kafka_choice.KafkaChoice
        self.skus: list[str] = []
        self.facts: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self._folder.open(note="benchmarks")
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    # -- for the benchmarks ---------------------------------------------------------------------------
    def process_environment(self, name: str) -> dict[str, str]:
        """The environment variables for a benchmark's processes: with a separate seeded database and topics."""
        if isinstance(self._choice.kafka, EmbeddedKafka):
            # A new one, since it retains little; it starts in no time.
            self._choice.kafka.stop()
            self._choice.kafka.launch()
        environment = self._environment(self._fresh_database(name), prefix="" if self._is_embedded else f"{name}.")
        self._manage("topics", ["create_topics"], environment)
        return environment

    def task(self, name: str, environment: Mapping[str, str], *, timeout_seconds: float, **parameters: object) -> Any:
        """Run a task of `manage.py measure` in a separate process; returns its result.

        Raises:
            TaskFailed: it ended with an error.
        """
        arguments = ["manage.py", "measure", name, json.dumps(parameters), "--result"]
        return self._result(f"measure-{name}", arguments, environment, timeout_seconds=timeout_seconds)

    def manage_json(self, name: str, arguments: list[str], environment: Mapping[str, str]) -> Any:
        """Run a command of the project that prints one JSON object; returns it.

        Raises:
            TaskFailed: it ended with an error.
        """
        self._supervisor.log(name).unlink(missing_ok=True)
        self._run(name, ["manage.py", *arguments], environment, timeout_seconds=300)
        text = self._supervisor.log(name).read_text()
        return json.loads(next(line for line in reversed(text.splitlines()) if line.startswith("{")))

    def send_orders(self, plan: load.LoadPlan) -> load.LoadReport:
        """Run the load generator with this plan.

        Raises:
            TaskFailed: the server ended or did not answer.
        """
        arguments = ["-m", "benchmarks.load", json.dumps(dataclasses.asdict(plan))]
        timeout_seconds = plan.warm_up_seconds + plan.seconds + 2 * load.ANSWER_SECONDS
        found = self._result("load", arguments, {}, timeout_seconds=timeout_seconds)
        found["statuses"] = {int(status): count for status, count in found["statuses"].items()}
        return load.LoadReport(**found)

    def roles(self, environment: Mapping[str, str]) -> tuple[Roles, int]:
        """The shop's processes, not started yet, and their port."""
        port = ports.pick_neighbours()
        served = {
            **environment,
            "LIVE_PORT": str(port + 1),
            "LIVE_ORIGINS": f"http://127.0.0.1:{port}",
            "SHOP_URL": f"http://127.0.0.1:{port}",
            "SANDBOX_URL": f"http://127.0.0.1:{port + 2}",
        }
        return Roles(self._supervisor, host="127.0.0.1", port=port, environment=served, run=self._folder.run), port

    @property
    def folder(self) -> Path:
        """Where the services keep their data."""
        return self._folder.path

    @property
    def postgres_log(self) -> Path:
        """What PostgreSQL logs."""
        return self._supervisor.log(postgres.NAME)

    @property
    def python_roles(self) -> list[str]:
        """The running processes that are ours."""
        services = self.pids()
        return [name for name in self._supervisor.names if name not in services]

    def pids(self, roles: Roles | None = None) -> dict[str, int]:
        """The process ids of all services, and of all running roles, by name."""
        kafka = self._choice.kafka
        brokers = [broker.name for broker in kafka.brokers.values()] if isinstance(kafka, ApacheKafka) else ["kafka"]
        names = [postgres.NAME, redis.NAME, *brokers, *(roles.names if roles else ())]
        return {name: self._supervisor.pid(name) for name in names if self._supervisor.is_running(name)}

    # -- inside ---------------------------------------------------------------------------------------
    def _start(self) -> None:
        folder, sockets = self._folder.path, self._folder.sockets
        self._postgres = postgres.Postgres(self._supervisor, data=folder / "postgres", sockets=sockets)
        self._postgres.start()
        self._redis = redis.Redis(self._supervisor, folder=folder / "redis", sockets=sockets)
        self._redis.start()
        self._choice = kafka_choice.choose(self._kafka, supervisor=self._supervisor, state=self._folder, say=self._say)
        self._choice.kafka.launch()
        self._postgres.ensure_database(_TEMPLATE)
        environment = self._environment(self._postgres.url(_TEMPLATE), prefix="")
        self._manage("migrate", ["migrate", "--verbosity", "0"], environment)
        prepared = self.task("prepare", environment, timeout_seconds=60, units=UNITS_OF_EACH_BOOK)
        self.skus = prepared["skus"]
        self._choice.kafka.wait_ready()
        self.facts = {
            "PostgreSQL": self._postgres.version(),
            "Redis": self._redis.version(),
            "Kafka": f"{self._choice.description} ({self._choice.because})",
        }

    def _end(self) -> None:
        self._supervisor.stop_all()
        self._folder.close()
        shutil.rmtree(self._folder.path, ignore_errors=True)

    @property
    def _is_embedded(self) -> bool:
        return self._choice.mode == kafka_choice.EMBEDDED

    def _fresh_database(self, name: str) -> str:
        """Copy the seeded database; returns the URL of the copy."""
        self._postgres.drop_database(name)
        with psycopg.connect(self._postgres.url("postgres"), autocommit=True) as connection:
            copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(_TEMPLATE))
            connection.execute(copy)
        return self._postgres.url(name)

    def _environment(self, database_url: str, *, prefix: str) -> dict[str, str]:
        folder = self._folder.path
        return {
            **self._choice.environment(),
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "BOOKRUSH_STATE_DIR": str(folder),
            "DEBUG": "false",
            "DATABASE_URL": database_url,
            "REDIS_URL": self._redis.url(),
            "KAFKA_TOPIC_PREFIX": prefix,
            "KAFKA_GROUP_PREFIX": f"{prefix}bookrush.",
            "PAYMENT_GATEWAY": SANDBOX,
            # The shop is measured, not the gateway's latency.
            "SANDBOX_LATENCY_SECONDS": "0",
            "SANDBOX_LEDGER_PATH": str(folder / f"{prefix}gateway.sqlite3"),
            "EMAIL_URL": "filemail://",
            "EMAIL_FILE_PATH": str(folder / "mail"),
        }

    def _manage(self, name: str, arguments: list[str], environment: Mapping[str, str]) -> None:
        self._run(name, ["manage.py", *arguments], environment, timeout_seconds=120)

    def _result(
        self, name: str, arguments: list[str], environment: Mapping[str, str], *, timeout_seconds: float
    ) -> Any:
        """Run a program that writes its result, as JSON, into the file named by its last argument."""
        self._results += 1
        file = self._folder.run / f"result-{self._results}.json"
        self._run(name, [*arguments, str(file)], environment, timeout_seconds=timeout_seconds)
        return json.loads(file.read_text())

    def _run(self, name: str, arguments: list[str], environment: Mapping[str, str], *, timeout_seconds: float) -> None:
        command = Command(name=name, arguments=[sys.executable, *arguments], environment=environment, folder=PROJECT)
        try:
            code = self._supervisor.run(command, timeout_seconds=timeout_seconds)
        except LocalError as error:
            raise TaskFailed(str(error)) from error
        if code:
            raise TaskFailed(f"{name} failed (exit code {code}). It ends with:\n{self._supervisor.tail(name, 12)}")
