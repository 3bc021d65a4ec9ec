"""A whole shop in processes of its own, for tests of what happens between them."""

import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg

from devtools.local import ports, roles
from devtools.local.redis import Redis
from devtools.local.roles import Roles
from devtools.local.supervisor import Supervisor
from devtools.testing.manage_server import ManageServer
from devtools.testing.services import Services
from kafka_bridge.runtime import waiting
from kafka_bridge.runtime.conf import BridgeSettings

DATABASE = "whole_shop"
TOKEN = "whole-shop"
PREFIX = "shop."


def kafka_environment(bridge: BridgeSettings) -> dict[str, str]:
    """The environment that gives a process the same Kafka, topics and groups."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": bridge.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": bridge.topic_prefix,
        "KAFKA_GROUP_PREFIX": bridge.group_prefix,
        "KAFKA_GROUP_PROTOCOL": bridge.group_protocol,
        "KAFKA_REPLICATION_FACTOR": str(bridge.replication_factor),
        "KAFKA_MIN_INSYNC_REPLICAS": str(bridge.min_insync_replicas),
    }


class Shop:
    """Web, live sockets, relay, consumers, timekeeper and sandbox gateway as processes, on a database, Redis, topics
    and a ledger of their own.
    """

    def __init__(
        self,
        services: Services,
        *,
        settings: Mapping[str, str] | None = None,
        accounts: Mapping[str, Mapping[str, str]] | None = None,
        redis_passwords: Mapping[str, str] | None = None,
    ) -> None:
        """`settings` are environment variables that take the place of ours, `accounts` those of single roles, and
        with `redis_passwords` Redis knows its users.
        """
        self._accounts = accounts
        self._services = services
        self._settings = settings or {}
        self._supervisor = services.supervisor
        state = services.state
        self._folder = state.path / "shop"
        self.redis = Redis(
            self._supervisor,
            folder=self._folder,
            sockets=state.sockets,
            name="shop-redis",
            passwords=redis_passwords,
        )
        self.port = ports.pick_neighbours()
        self.url = f"http://127.0.0.1:{self.port}"
        self.live_url = f"ws://127.0.0.1:{self.port + 1}"
        self.gateway_url = f"http://127.0.0.1:{self.port + 2}"
        self.environment: dict[str, str] = {}
        self.roles: Roles
        self._manager: ManageServer | None = None
        self._reader: psycopg.Connection[tuple[Any, ...]] | None = None
        self._reading = threading.Lock()

    @property
    def supervisor(self) -> Supervisor:
        """What runs its processes, for tests that run others beside them."""
        return self._supervisor

    @property
    def ledger_path(self) -> Path:
        """The sandbox gateway's ledger; `payments.sandbox.bank.Bank` reads it beside the process."""
        return self._folder / "sandbox-gateway.sqlite3"

    def open(self) -> None:
        """Make the database and the topics, seed, and start every role.

        Raises:
            LocalError: something did not start.
        """
        kafka = self._services.kafka()
        # A database that begins anew and a gateway that remembers the one before would accuse each other.
        for ledger in self._folder.glob("sandbox-gateway*"):
            ledger.unlink()
        self._services.postgres.drop_database(DATABASE)
        self._services.postgres.ensure_database(DATABASE)
        self.redis.start()
        self.environment = {
            **self._services.environment(),
            "DATABASE_URL": self._services.postgres.url(DATABASE),
            "REDIS_URL": self.redis.url(),
            "BOOKRUSH_STATE_DIR": str(self._folder),
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": PREFIX,
            "KAFKA_GROUP_PREFIX": PREFIX,
            "KAFKA_REPLICATION_FACTOR": str(kafka.copies),
            "KAFKA_MIN_INSYNC_REPLICAS": "2" if kafka.copies > 2 else "1",
            "LIVE_PORT": str(self.port + 1),
            "LIVE_ORIGINS": self.url,
            "READYZ_TOKEN": TOKEN,
            "EMAIL_URL": "filemail://",
            "ORDER_FLOW": "reserve_first",
            "CARRIER_SHIP_DELAY_SECONDS": "0.5",
            "CARRIER_DELIVER_DELAY_SECONDS": "0.5",
            "PAYMENT_GATEWAY": roles.SANDBOX,
            "PAYMENT_TIMEOUT_SECONDS": "2",
            "PAYMENT_BREAKER_SECONDS": "1",
            "PAYMENT_WEBHOOK_SECRETS": "whole-shop",
            "SHOP_URL": self.url,
            "SANDBOX_URL": self.gateway_url,
            "SANDBOX_PUBLIC_URL": self.gateway_url,
            "SANDBOX_WEBHOOK_URL": f"{self.url}/webhooks/payments/",
            "SANDBOX_LEDGER_PATH": str(self.ledger_path),
            "SANDBOX_SLOW_SECONDS": "1",
            "SANDBOX_STALL_SECONDS": "2.5",
            **self._settings,
        }
        self.prepare()
        self.roles = Roles(
            self._supervisor,
            host="127.0.0.1",
            port=self.port,
            environment=self.environment,
            run=self._folder,
            accounts=self._accounts,
            metrics_port=ports.pick_neighbours(count=20),
        )
        self.ensure_running()

    def prepare(self) -> None:
        """What comes before the first role: tables, topics, books."""
        self.manage("prepare", "--demo-users")

    def close(self) -> None:
        """Stop every role and the Redis."""
        self._end_manager()
        if self._reader is not None:
            self._reader.close()
        self.roles.stop()
        self.redis.stop()

    def ensure_running(self) -> None:
        """Start the roles that a test left stopped, and wait until all are at work."""
        if not self._supervisor.is_running("shop-redis"):
            self.redis.start()
        missing = [name for name in self.roles.names if not self._supervisor.is_running(name)]
        if missing:
            self.start(*missing)

    def start(self, *roles: str) -> None:
        """Start these roles and wait until they are at work."""
        self.roles.start(*roles)
        # Twelve processes start at once, beside another test's; on a busy machine that takes more than a minute.
        self.roles.wait_ready(*roles, timeout_seconds=180)

    def stop(self, *roles: str) -> None:
        """SIGTERM to these roles; returns when they have ended."""
        self.roles.stop(*roles)

    def kill(self, role: str) -> None:
        """SIGKILL one role."""
        self.roles.kill(role)

    def is_running(self, role: str) -> bool:
        """Whether the role's process runs."""
        return self._supervisor.is_running(role)

    def pause(self, role: str) -> None:
        """SIGSTOP one role."""
        self._supervisor.send(role, signal.SIGSTOP)

    def resume(self, role: str) -> None:
        """SIGCONT one role."""
        self._supervisor.send(role, signal.SIGCONT)

    def look_after(self) -> None:
        """Start roles again that have ended by themselves. Call it a few times a second."""
        self._supervisor.look_after()

    def restart(self, *roles: str) -> None:
        """Stop and start these roles."""
        self.stop(*roles)
        self.start(*roles)

    def process_ids(self) -> dict[str, int]:
        """Of the roles that run."""
        return {name: self._supervisor.pid(name) for name in self.roles.names if self._supervisor.is_running(name)}

    def log(self, role: str) -> Path:
        """Where a role's output goes."""
        return self._supervisor.log(role)

    def manage(self, *arguments: str) -> str:
        """Run a `manage.py` command against this shop; returns what it printed.

        Raises:
            AssertionError: it failed; the message has its output.
        """
        if self._manager is None or self._manager.environment != self.environment:
            self._end_manager()
            self._manager = ManageServer(self.environment)
        done = self._manager.run(*arguments)
        if done.code:
            raise AssertionError(f"manage.py {' '.join(arguments)}:\n{done.output}{done.errors}")
        return done.output

    def _end_manager(self) -> None:
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def environment_of_commands(self, **more: str) -> dict[str, str]:
        """The environment in which a command finds this shop."""
        return {**os.environ, **self.environment, **more}

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of the shop's database, read past Django, whose own connection is another database's.

        Tests ask twenty times a second until something is so, and to connect costs more than to ask.
        """
        with self._reading:
            try:
                return self._read(statement, parameters)
            except psycopg.OperationalError:
                if self._reader is not None and not self._reader.closed:
                    raise
            return self._read(statement, parameters)  # the server is not the one that we had asked before

    def _read(self, statement: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if self._reader is None or self._reader.closed:
            url = self.environment["DATABASE_URL"]
            self._reader = psycopg.connect(url, autocommit=True, prepare_threshold=None)
        return self._reader.execute(statement.encode(), parameters).fetchall()

    def wait_until(self, condition: Callable[[], object], *, what: str, timeout_seconds: float = 60) -> None:
        """Wait for a condition with a deadline.

        Raises:
            TimeoutError: it did not come true; the message says what was waited for.
        """
        waiting.until(condition, what=what, timeout_seconds=timeout_seconds)

    def logs(self) -> str:
        """The ends of all roles' logs, for a report."""
        return "\n".join(f"--- {name}\n{self._supervisor.tail(name, lines=15)}" for name in self.roles.names)
