"""The services of one test run, in a folder of their own below the project's state folder.

Several runs may go on at once (another terminal, an editor): each takes the first folder that nobody uses, so the
PostgreSQL data folder is made once and found again.
"""

import contextlib
import itertools
import os
import shutil
import signal
from pathlib import Path

from devtools.local import postgres
from devtools.local.errors import LocalError
from devtools.local.kafka import apache_kafka, kafka_jars, rehearsal
from devtools.local.postgres import Postgres
from devtools.local.redis import Redis
from devtools.local.state_dir import StateDir
from devtools.local.supervisor import Supervisor
from devtools.testing.kafka_security import KafkaSecurity

PROJECT = Path(__file__).parents[2]
STATE = PROJECT / ".bookrush"
# Nothing listens there: a test that forgot to ask for a broker fails instead of talking to somebody's own.
NOWHERE = "127.0.0.1:1"
_KAFKA_TRIES = 3


class Services:
    """PostgreSQL and Redis, started; Kafka, when it is asked for."""

    def __init__(
        self, *, state: Path = STATE, purpose: str = "test", brokers: int = 1, is_kafka_secured: bool = False
    ) -> None:
        """They live in a folder that nobody uses, below the state folder's part for this purpose."""
        self.state = _free_folder(state / purpose)
        self.kafka_security = KafkaSecurity(self.state.path / "certificates") if is_kafka_secured else None
        self._brokers = brokers
        for folder in (self.state.logs, self.state.run):
            folder.mkdir(parents=True, exist_ok=True)
        self.supervisor = Supervisor(logs=self.state.logs, held=(self.state.lock_descriptor,))
        self.postgres = Postgres(
            self.supervisor,
            data=self.state.path / "postgres",
            sockets=self.state.sockets,
            options=postgres.SHORT_LIVED,
        )
        self.redis = Redis(self.supervisor, folder=self.state.path / "redis", sockets=self.state.sockets)
        self.jars = kafka_jars.Jars(state / "java")
        self._kafka: apache_kafka.ApacheKafka | None = None

    def start(self) -> None:
        """Start PostgreSQL and Redis.

        Raises:
            LocalError: this machine lacks something; the message says what.
        """
        _end_leftovers(self.state.path)
        self.postgres.start()
        self.redis.start()

    def stop(self) -> None:
        """End everything that this run started."""
        self.supervisor.stop_all()
        self.state.close()

    def environment(self) -> dict[str, str]:
        """What makes `shop.settings` use these services."""
        return {
            "DATABASE_URL": self.postgres.url(),
            "REDIS_URL": self.redis.url(),
            "KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
            "BOOKRUSH_STATE_DIR": str(self.state.path),
        }

    def kafka(self) -> apache_kafka.ApacheKafka:
        """Real brokers (one, if nothing else was said) that began with empty folders; started again where stopped.

        Raises:
            KafkaUnavailable: it cannot be run here.
        """
        if self._kafka is None:
            self.jars.ensure(self.supervisor)
            rehearsal.ensure(self.jars, self.supervisor, folder=self.state.path / "rehearsal")
            self._kafka = self._first_kafka()
        for broker in self._kafka.brokers.values():
            if self.supervisor.is_running(broker.name):
                self._kafka.resume(broker.id)
        self._kafka.start()
        return self._kafka

    def _first_kafka(self) -> apache_kafka.ApacheKafka:
        """Started; on other ports where another program was quicker to take those that were free."""
        folder = self.state.path / "kafka"
        for more in reversed(range(_KAFKA_TRIES)):
            shutil.rmtree(folder, ignore_errors=True)
            kafka = apache_kafka.ApacheKafka(
                self.supervisor, folder=folder, jars=self.jars, brokers=self._brokers, security=self.kafka_security
            )
            try:
                kafka.start()
            except LocalError:
                kafka.stop()
                if not more:
                    raise
            else:
                return kafka
        raise AssertionError("unreachable")

    def stop_kafka(self) -> None:
        """Stop the brokers that run, with what is in them; `kafka` starts them again."""
        if self._kafka is not None:
            self._kafka.stop()

    def why_no_kafka(self) -> str:
        """Why a real broker cannot be run here; empty if it can, as far as is known before the download."""
        try:
            self.jars.check()
        except LocalError as error:
            return str(error)
        return ""

    def describe_kafka(self) -> str:
        """For the head of the test report."""
        if reason := self.why_no_kafka():
            return f"none. {reason}"
        place = self.jars.folder if self.jars.are_here else "Maven Central, to be downloaded when a test needs it"
        return f"Apache Kafka {kafka_jars.version()} on Java {kafka_jars.java_version()}, from {place}"


def _end_leftovers(folder: Path) -> None:
    """Kill what tests of an interrupted run left behind: the folder is ours now, and they would use its database."""
    setting = f"BOOKRUSH_STATE_DIR={folder}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (entry / "environ").read_bytes().split(b"\0")
            if int(entry.name) != os.getpid() and any(
                each == setting or each.startswith(setting + b"/") for each in environment
            ):
                os.kill(int(entry.name), signal.SIGKILL)


def _free_folder(parent: Path) -> StateDir:
    for number in itertools.count(1):
        state = StateDir(parent / str(number))
        if state.try_lock():
            return state
    raise AssertionError("unreachable")
