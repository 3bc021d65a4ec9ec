"""The demo: starts every service and every role on this machine, and runs until Ctrl-C."""

import contextlib
import dataclasses
import json
import secrets
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings
from rich.console import Console

from devtools.demo_control.acts import Parts
from devtools.demo_control.control import DemoControl
from devtools.local import installed, ports, prometheus, roles
from devtools.local.errors import LocalError
from devtools.local.kafka import kafka_choice
from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.local.kafka.embedded_kafka import EmbeddedKafka
from devtools.local.kafka.kafka_choice import KafkaChoice
from devtools.local.postgres import Postgres
from devtools.local.prometheus import Prometheus
from devtools.local.redis import Redis
from devtools.local.roles import ANY_HOST, PROJECT, Roles
from devtools.local.state_dir import StateDir, disk_full, is_full, translating_full_disk
from devtools.local.supervisor import Command, Supervisor
from kafka_bridge.runtime.waiting import Stopped

# Together less than ten seconds: first the roles, then the services that they use.
ROLES_STOP_SECONDS, SERVICES_STOP_SECONDS = 5.0, 3.5
# From the shop's port to those on which roles show their metrics, and how many of these there may be.
METRICS_AFTER, METRICS_PORTS, HIGHEST_PORT = 1100, 100, 65_535
# From the shop's port to Prometheus': 9090 on the usual one.
PROMETHEUS_AFTER = 1090
# What a reset deletes; downloads and the folders of test runs stay.
DEMO_PARTS = (
    *("demo.env", "kafka", "logs", "mail", "postgres", "postgres.new", "prometheus", "redis", "run"),
    *("secret-key", "webhook-secret"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of the command line."""

    host: str
    port: int
    kafka: str
    state: Path
    reset: bool
    open_browser: bool
    observability: bool = False
    """Whether Prometheus is to run beside it."""


class Demo:
    """One run of the demo. `run` may be called once."""

    def __init__(self, options: Options, console: Console) -> None:
        self.options = options
        self._console = console
        self._stop = threading.Event()
        self._state = StateDir(options.state)
        self._environment: dict[str, str] = {}
        self._supervisor: Supervisor
        self._roles: Roles
        self._control: DemoControl
        self._choice: KafkaChoice
        self._prometheus: Prometheus | None = None

    def run(self) -> None:
        """Start everything, keep it running until SIGTERM, SIGHUP or Ctrl-C, and stop everything.

        Raises:
            LocalError: it cannot run here; what had been started is stopped.
        """
        self._check_options()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # Under nohup SIGHUP must stay ignored. SIGINT must not: shells ignore it for background processes.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: self._stop.set())
        self._state.open(note=f"at {self._url(self.options.port)}/")
        self._supervisor = Supervisor(
            logs=self._state.logs, stop=self._stop, say=self._say, held=(self._state.lock_descriptor,)
        )
        try:
            with translating_full_disk(self._state.path):
                self._start()
                self._welcome()
                while not self._stop.wait(0.2):
                    self._supervisor.look_after()
                    self._control.tick()
        except Stopped:
            pass
        except LocalError as error:
            # On a full disk the process that failed often could not log why.
            if is_full(self._state.path) or "No space left on device" in str(error):
                raise disk_full(self._state.path) from error
            raise
        finally:
            self._end()

    # -- before anything is started ---------------------------------------------------------------
    def _check_options(self) -> None:
        kafka_choice.check(self.options.kafka)
        if missing := installed.missing_modules(PROJECT / "requirements.txt"):
            raise LocalError(f"Python module {missing[0]!r} is missing: run `make install`.")
        if ":" in self.options.host:
            raise LocalError(f"--host (HOST=) takes a name or an IPv4 address, not {self.options.host}.")
        if not 1 <= self.options.port <= 65533:
            raise LocalError(
                "--port (PORT=) takes a number from 1 to 65533; live sockets and the sandbox gateway take the two "
                "ports after it."
            )
        wanted = ["the shop", "its live sockets", *(["the sandbox gateway"] if self._is_sandbox else [])]
        for port, role in enumerate(wanted, start=self.options.port):
            self._check_port(port, role)
        if self.options.observability:
            self._check_observability()

    def _check_observability(self) -> None:
        if prometheus.binary(prometheus.PROMETHEUS) is None:
            raise LocalError(
                "Prometheus is not installed here: install it (Debian: apt install prometheus), or start the demo "
                "without OBSERVABILITY=1 (--observability)."
            )
        if not self._metrics_port():
            raise LocalError(
                f"Above port {self.options.port} there is no room for metrics: choose a lower --port (PORT=)."
            )
        self._check_port(self.options.port + PROMETHEUS_AFTER, "Prometheus")

    def _check_port(self, port: int, role: str) -> None:
        try:
            free = ports.is_free(port, host=self.options.host)
        except OSError as error:
            raise LocalError(
                f"The shop cannot listen on {self.options.host}, port {port} ({error.strerror}): "
                "choose others with --host and --port (HOST=, PORT=)."
            ) from error
        if not free:
            raise LocalError(
                f"Port {port}, wanted for {role}, is taken by another program: stop that one, or choose another with "
                f"`make demo PORT={self.options.port + 100}` (manage.py demo --port)."
            )

    # -- starting -----------------------------------------------------------------------------------
    def _start(self) -> None:
        if self.options.reset:
            self._state.remove(*DEMO_PARTS, *(path.name for path in self._state.path.glob("sandbox-gateway*")))
            for folder in (self._state.logs, self._state.run):
                folder.mkdir()
        self._say(f"Bookrush demo; its data and logs are in {_short(self._state.path)}")
        self._choice = kafka_choice.choose(
            self.options.kafka, supervisor=self._supervisor, state=self._state, say=self._say
        )
        postgres = Postgres(self._supervisor, data=self._state.path / "postgres", sockets=self._state.sockets)
        redis = Redis(self._supervisor, folder=self._state.path / "redis", sockets=self._state.sockets)
        self._watch_embedded_kafka()
        with self._step("PostgreSQL") as done:
            # A broker takes seconds to start, so everything else starts in the meantime.
            self._choice.kafka.launch()
            postgres.start()
            postgres.ensure_database()
            done(f"PostgreSQL {postgres.version()}")
        with self._step("Redis") as done:
            redis.start()
            done(f"Redis {redis.version()}")
        self._environment = self._make_environment(postgres.url(), redis.url())
        self._write_environment()
        self._prepare("migrate", "seed", "topics", "republish")
        self._roles = Roles(
            self._supervisor,
            host=self.options.host,
            port=self.options.port,
            environment=self._environment,
            run=self._state.run,
            metrics_port=self._metrics_port(),
        )
        with self._step("the roles") as done:
            self._roles.start()
            self._roles.wait_ready()
            done(f"{len(self._roles.names)} roles: {', '.join(self._roles.names)}")
        self._open_control()
        if self.options.observability:
            self._start_prometheus()

    def _open_control(self) -> None:
        """From now on its pages may break parts for a while, and run experiments."""
        kafka = self._choice.kafka
        parts = Parts(
            supervisor=self._supervisor,
            roles=self._roles,
            kafka=kafka if isinstance(kafka, ApacheKafka) else None,
            environment=lambda: self._environment,
        )
        self._control = DemoControl(parts, sockets=self._state.sockets, run=self._state.run)
        self._control.open()

    def _start_prometheus(self) -> None:
        port = self.options.port + PROMETHEUS_AFTER
        with self._step("Prometheus") as done:
            self._prometheus = Prometheus(self._supervisor, folder=self._state.path / "prometheus", port=port)
            self._prometheus.start(self._roles.metrics_addresses(), others=self._choice.scraped())
            done(f"Prometheus at {self._prometheus.url}")

    def _make_environment(self, database_url: str, redis_url: str) -> dict[str, str]:
        hosts = list(dict.fromkeys(["localhost", "127.0.0.1", *self._other_hosts(), *settings.ALLOWED_HOSTS]))
        return {
            "BOOKRUSH_STATE_DIR": str(self._state.path),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            **self._choice.environment(),
            "SECRET_KEY": self._secret("secret-key"),
            **self._gateway_environment(),
            "ALLOWED_HOSTS": ",".join(hosts),
            "LIVE_PORT": str(self.options.port + 1),
            "LIVE_ORIGINS": ",".join(f"http://{host}:{self.options.port}" for host in hosts),
            "EMAIL_URL": "filemail://",
            "EMAIL_FILE_PATH": str(self._state.path / "mail"),
            "SHOW_DEMO_HINTS": "true",
            "KAFKA_PRACTICE": "true",
        }

    def _metrics_port(self) -> int:
        """The first role's, and the others follow; on the usual port of the shop it is 9100, as in compose."""
        first = self.options.port + METRICS_AFTER
        return first if first < HIGHEST_PORT - METRICS_PORTS else 0

    def _other_hosts(self) -> list[str]:
        """Host names for browsers on other machines; ALLOWED_HOSTS adds names that cannot be guessed."""
        if self.options.host != ANY_HOST:
            return [self.options.host]
        found = [socket.gethostname()]
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing; the system only picks the address it would send from
            found.append(probe.getsockname()[0])
        return found

    def _gateway_environment(self) -> dict[str, str]:
        """URLs for the gateway, the shop and browsers; configured webhook secrets (such as Stripe's) are kept."""
        host, port = self.options.host, self.options.port
        webhook_secrets = settings.PAYMENT_WEBHOOK_SECRETS or [self._secret("webhook-secret")]
        return {
            "SHOP_URL": self._url(port),
            "SANDBOX_URL": roles.local_url(host, port + 2),
            "SANDBOX_PUBLIC_URL": self._url(port + 2),
            "SANDBOX_WEBHOOK_URL": f"{roles.local_url(host, port)}/webhooks/payments/",
            "PAYMENT_WEBHOOK_SECRETS": ",".join(webhook_secrets),
        }

    def _secret(self, name: str) -> str:
        """A secret that is stored, so that sessions, order links and pending webhooks survive a restart."""
        file = self._state.path / name
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(48))
        return file.read_text()

    def _write_environment(self) -> None:
        """Write the file from which commands in a second terminal learn about the demo (see `shop/settings`)."""
        escaped = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in self._environment.items()}
        file = self._state.path / "demo.env"
        file.touch(mode=0o600)
        file.write_text("".join(f'{name}="{value}"\n' for name, value in escaped.items()))

    def _prepare(self, *steps: str) -> None:
        """Run `manage.py prepare` with the demo's environment while Kafka starts.

        Raises:
            LocalError: a step failed, or Kafka does not start.
        """
        log = self._supervisor.log("prepare")
        log.unlink(missing_ok=True)
        arguments = [sys.executable, "manage.py", "prepare", "--json", "--demo-users", "--demo-rates", *steps]
        self._supervisor.start(
            Command(name="prepare", arguments=arguments, environment=self._environment, folder=PROJECT)
        )
        with self._step("Kafka") as done:
            self._choice.kafka.wait_ready()
            done(f"{self._choice.description} at {self._choice.kafka.bootstrap_servers} ({self._choice.because})")
        with self._step("database and topics") as done:
            if self._supervisor.finish("prepare", timeout_seconds=180):
                raise LocalError(
                    f"The database or the topics could not be prepared. {self._supervisor.hint('prepare')}"
                )
            printed = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
            done(" ".join(line["text"].replace("\n", " ") for line in printed))

    # -- while it runs --------------------------------------------------------------------------------
    def _watch_embedded_kafka(self) -> None:
        if isinstance(self._choice.kafka, EmbeddedKafka):
            self._choice.kafka.on_end = self._replace_embedded_kafka

    def _replace_embedded_kafka(self) -> None:
        """A new embedded broker has another address and no events: restart all roles, republish unhandled events."""
        self._say("The embedded Kafka broker ended; starting a new one and restarting all roles.")
        self._roles.stop(within_seconds=ROLES_STOP_SECONDS)
        self._choice.kafka.launch()
        self._environment |= self._choice.environment()
        self._write_environment()
        self._prepare("topics", "republish")
        self._roles.start()
        self._roles.wait_ready()
        self._say("All roles are running again.")

    def _welcome(self) -> None:
        url, python = self._url(self.options.port), _short(Path(sys.executable))
        lines = {
            "Shop": f"{url}/",
            "Admin": f"{url}/admin/   (admin / admin; a customer is reader / reader)",
            "Operations": f"{url}/admin/operations/   (is it well, who waits, what to do)",
            "Watch Kafka": f"{self._url(self.options.port + 1)}/kafka/   (your order's way; cards to learn it by)",
            "Experiments": f"{url}/kafka/experiments/   (say what Kafka will do, and see)",
            "Break it": f"{url}/kafka/break/   (stop, freeze or kill a part for a while)",
            "Live sockets": f"{self._url(self.options.port + 1, scheme='ws')}/",
            **({"Sandbox bank": f"{self._url(self.options.port + 2)}/"} if self._is_sandbox else {}),
            "Kafka": self._choice.kafka.bootstrap_servers,
            "Mail sent": _short(self._state.path / "mail"),
            "Logs": _short(self._state.logs),
            **self._metrics_line(),
            **({"Prometheus": f"{self._prometheus.url}/alerts"} if self._prometheus else {}),
            "Stop": "Ctrl-C",
            "In a second terminal": f"{python} manage.py run_consumer --list   (what listens to what)",
            "": f"{python} manage.py run_consumer {'analytics' if self._is_embedded else 'inventory --instances 2'}",
        }
        self._say("")
        for name, text in lines.items():
            self._say(f"  {name:<22}{text}")
        self._say("")
        self._say("Ready")
        if self.options.open_browser:
            webbrowser.open(f"{url}/")

    def _metrics_line(self) -> dict[str, str]:
        first, last = (self._roles.metrics_port(name) for name in (roles.WEB, self._roles.names[-1]))
        return {"Metrics": f"http://127.0.0.1:{first}/metrics to :{last}   (manage.py show_processes)"} if first else {}

    # -- stopping -------------------------------------------------------------------------------------
    def _end(self) -> None:
        started, something_ran = time.monotonic(), self._supervisor.names != []
        if something_ran:
            self._say("Stopping …")
        with contextlib.suppress(AttributeError):
            self._control.close()
        with contextlib.suppress(AttributeError):  # not that far yet
            self._roles.stop(within_seconds=ROLES_STOP_SECONDS)
        (self._state.path / "demo.env").unlink(missing_ok=True)
        self._supervisor.stop_all(within_seconds=SERVICES_STOP_SECONDS)
        self._state.close()
        if something_ran:
            self._say(f"Stopped after {time.monotonic() - started:.1f} s. The data is kept.")

    # -- saying ---------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def _step(self, what: str) -> Iterator[Callable[[str], None]]:
        """A spinner on a terminal while the step runs; a line with its duration when it is done."""
        started = time.monotonic()

        def done(text: str) -> None:
            self._say(f"  ✓ {time.monotonic() - started:5.1f} s  {text}")

        with self._console.status(f"starting {what}") if self._console.is_terminal else contextlib.nullcontext():
            yield done

    def _say(self, text: str) -> None:
        try:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)
            self._console.file.flush()
        except BrokenPipeError:  # the reader is gone: treated like Ctrl-C
            self._console.quiet = True
            self._stop.set()

    def _url(self, port: int, *, scheme: str = "http") -> str:
        # Cookies belong to a host name: the bank must send buyers back to the name under which they came.
        host = "localhost" if self.options.host in (ANY_HOST, "127.0.0.1") else self.options.host
        return f"{scheme}://{host}:{port}"

    @property
    def _is_sandbox(self) -> bool:
        return bool(settings.PAYMENT_GATEWAY == roles.SANDBOX)

    @property
    def _is_embedded(self) -> bool:
        return self._choice.mode == kafka_choice.EMBEDDED


def _short(path: Path) -> str:
    """The path, relative to the project if it is inside."""
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)
