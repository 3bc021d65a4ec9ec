"""Apache Kafka's jars, downloaded from Maven Central once and kept in the state folder."""

import fcntl
import hashlib
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

from devtools.local.errors import LocalError
from devtools.local.supervisor import Command, Supervisor

PROJECT = Path(__file__).parents[3]
POM = PROJECT / "deploy" / "kafka" / "pom.xml"
LEAST_JAVA = 17
DOWNLOAD_TIMEOUT_SECONDS = 900


class KafkaUnavailable(LocalError):
    """Apache Kafka cannot run here; `KAFKA=embedded` can."""


class JavaMissing(KafkaUnavailable):
    """Install a Java 17 runtime or newer (Debian: `apt install openjdk-17-jre-headless`)."""


class MavenMissing(KafkaUnavailable):
    """Install Maven (Debian: `apt install maven`); it is needed once, to download Kafka."""


class DownloadFailed(KafkaUnavailable):
    """Maven Central could not be reached, or the download failed."""


class Jars:
    """The jars of the version that `deploy/kafka/pom.xml` pins."""

    def __init__(self, folder: Path) -> None:
        digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
        self.folder = folder / f"kafka-{version()}-{digest}"

    @property
    def are_here(self) -> bool:
        """Whether the jars are downloaded."""
        return self.folder.is_dir()

    @property
    def archive(self) -> Path:
        """Classes as a JVM has them in memory, where `rehearsal` has made that: a broker starts in half the time."""
        return self.folder / "classes.jsa"

    @property
    def agent(self) -> Path:
        """What shows a broker's JMX to Prometheus, for `-javaagent`."""
        return self.folder / f"jmx_prometheus_javaagent-{agent_version()}.jar"

    def check(self) -> None:
        """Check that a broker can run, as far as this is known before the download.

        Raises:
            JavaMissing: no Java, or a version that is too old.
            MavenMissing: the jars must be downloaded, and Maven is missing.
        """
        java_version()
        if not self.are_here and shutil.which("mvn") is None:
            raise MavenMissing("Apache Kafka needs Maven (`mvn`) for its first download: install Maven.")

    def ensure(self, supervisor: Supervisor) -> None:
        """Download the jars, if they are missing.

        Raises:
            KafkaUnavailable: see `check` and `DownloadFailed`.
            Stopped: a stop was requested.
        """
        self.check()
        if self.are_here:
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        # Of concurrent test processes the first one downloads, and the others wait for it.
        with (self.folder.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.are_here:
                self._download(supervisor)

    def _download(self, supervisor: Supervisor) -> None:
        draft = self.folder.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        command = Command(name="maven", arguments=_maven(draft), folder=draft)
        try:
            code = supervisor.run(command, timeout_seconds=DOWNLOAD_TIMEOUT_SECONDS)
        except LocalError as error:
            raise DownloadFailed(f"The download of Apache Kafka took too long: {error}") from error
        if code:
            raise DownloadFailed(
                f"Apache Kafka {version()} could not be downloaded from Maven Central. {supervisor.hint('maven')}"
            )
        draft.replace(self.folder)


def version() -> str:
    """The version of Apache Kafka that the pom pins."""
    return _property("kafka.version")


def agent_version() -> str:
    """The version of the JMX agent that the pom pins."""
    return _property("agent.version")


def _property(name: str) -> str:
    names = {"m": "http://maven.apache.org/POM/4.0.0"}
    found = ET.parse(POM).findtext(f"m:properties/m:{name}", namespaces=names)  # noqa: S314 - our own file
    if found is None:
        raise LocalError(f"{POM} does not say its {name}: restore it.")
    return found


def java_version() -> int:
    """The major version of the `java` on the PATH.

    Raises:
        JavaMissing: there is none, or it is too old.
    """
    java = shutil.which("java")
    found = _version_of(java) if java else None
    if found is None:
        raise JavaMissing(f"Apache Kafka needs Java {LEAST_JAVA} or newer, and there is no `java` here: install it.")
    if found < LEAST_JAVA:
        raise JavaMissing(
            f"Apache Kafka needs Java {LEAST_JAVA} or newer; `java` here is {found}: install a newer one."
        )
    return found


# Asked before each test that needs a broker, and each time costs the start of a JVM.
@cache
def _version_of(java: str) -> int | None:
    printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    found = re.search(r'version "(?:1\.)?(\d+)', printed.stderr) if printed.returncode == 0 else None
    return int(found[1]) if found else None


def _maven(target: Path) -> list[str]:
    arguments = [
        *("mvn", "-B", "-q", "-Dstyle.color=never", "-f", str(POM), f"-Djars={target}"),
        # An unreachable repository is to be said in seconds (the first two: Maven 3.9 and later, the others: before).
        *("-Daether.connector.connectTimeout=10000", "-Daether.connector.requestTimeout=60000"),
        *("-Dmaven.wagon.http.connectionTimeout=10000", "-Dmaven.wagon.rto=60000"),
        "dependency:copy-dependencies",
    ]
    home = Path.home()
    if not (home / ".m2").exists() and not _is_writable(home):
        arguments.insert(1, f"-Dmaven.repo.local={target.parent / 'maven'}")
    return arguments


def _is_writable(folder: Path) -> bool:
    try:
        probe = folder / ".bookrush-probe"
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True
