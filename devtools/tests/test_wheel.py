"""The bridge as a package: the wheel is built, and an empty project follows the quickstart with it, word by word."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.conf import settings

from devtools.testing.services import Services

pytestmark = [pytest.mark.library, pytest.mark.slow]
ROOT = Path(settings.BASE_DIR)
QUICKSTART = (ROOT / "docs" / "bridge" / "quickstart.md").read_text()
PATIENCE_SECONDS = 60.0
# Asked in the project's own Python, with its own settings: what the admin shows a superuser.
ADMIN = """
import django
django.setup()
from django.contrib.auth.models import User
from django.test import Client
from kafka_bridge import theme
from kafka_bridge.models import DeadLetter, OutboxRow
user, _ = User.objects.get_or_create(username="root", is_staff=True, is_superuser=True)
client = Client(headers={"host": "localhost"})
client.force_login(user)
base, letter, row = "/admin/kafka_bridge", DeadLetter.objects.latest("pk").pk, OutboxRow.objects.latest("pk").pk
for page in (f"{base}/", f"{base}/outboxrow/", f"{base}/outboxrow/{row}/change/", f"{base}/outboxrow/?relay=waiting",
             f"{base}/deadletter/", f"{base}/deadletter/kinds/", f"{base}/deadletter/{letter}/change/",
             f"{base}/deadletter/{letter}/edit/", f"{base}/deadletter/act/redrive/?letter={letter}"):
    answer = client.get(page)
    assert answer.status_code == 200, f"{page}: {answer.status_code}"
    assert "kafka_bridge/admin.css" in answer.text or page == f"{base}/", f"{page} has no styles"
print("unfold" if theme.IS_UNFOLD else "plain")
"""


@dataclass
class Project:
    """A folder with an environment of its own, in which blocks of the quickstart are done."""

    folder: Path
    environment: dict[str, str]
    beside: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def run(self, script: str, *, fails: bool = False) -> str:
        """What the commands print; they must all succeed, or fail."""
        activate = "[ ! -d venv ] || . venv/bin/activate\n"
        done = subprocess.run(  # noqa: S603 - the words of our own document
            ["/bin/bash", "-ec", activate + script],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=240,
        )
        assert (done.returncode != 0) == fails, f"{script}\n{done.stdout}"
        return done.stdout

    def start(self, command: str) -> None:
        """Leave a command running."""
        with (self.folder / f"log-{len(self.beside)}.txt").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - the words of our own document
                ["/bin/bash", "-c", f". venv/bin/activate; exec {command}"],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self.beside.append(process)

    def logs(self) -> str:
        """What the commands that were left running said."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("log-*.txt")))

    def end(self) -> None:
        """End what was left running."""
        for process in reversed(self.beside):
            process.send_signal(signal.SIGTERM)
        for process in self.beside:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def do(self, script: str) -> str:
        """A block of commands: those that end in & are left running."""
        lines = script.strip().splitlines()
        if all(line.endswith("&") for line in lines):
            for line in lines:
                self.start(line.removesuffix("&").strip())
            return ""
        return self.run(script)

    def write(self, text: str) -> None:
        """A block of Python goes where its first line says."""
        where, _, rest = text.partition("\n")
        name = where.removeprefix("# ")
        if name.startswith("at the end of "):
            path = self.folder / name.removeprefix("at the end of ")
            path.write_text(path.read_text() + "\n" + rest)
        else:
            (self.folder / name).write_text(rest)

    def wait_for(self, script: str, expected: str) -> None:
        """Ask again until the answer contains every line that is expected."""
        deadline, answer = time.monotonic() + PATIENCE_SECONDS, ""
        while time.monotonic() < deadline:
            answer = self.run(script)
            if all(line in answer for line in expected.strip().splitlines()):
                return
            time.sleep(0.5)
        raise AssertionError(f"{script}\nnever said {expected!r}, but:\n{answer}\n{self.logs()}")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from a clean copy of what git knows."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("Makefile", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "kafka_bridge", source / "kafka_bridge", ignore=ignored)
    (source / ".venv").symlink_to(Path(sys.prefix))
    environment = {**os.environ, "PIP_NO_CACHE_DIR": "1"}
    subprocess.run(["make", "--silent", "wheel"], cwd=source, env=environment, check=True)  # noqa: S607
    (found,) = (source / "dist").glob("*.whl")
    return Path(shutil.move(found, built))


@pytest.fixture
def project(wheel: Path, services: Services, tmp_path: Path) -> Iterator[Project]:
    """An empty folder, an empty database, and nothing of this project in the environment."""
    database = f"quickstart_{uuid.uuid4().hex[:8]}"
    services.postgres.ensure_database(database)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "SSL_CERT_FILE") if name in os.environ}
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy") or "PIP_" in name}
    own = {
        "WHEELS": str(wheel.parent),
        "PGHOST": str(services.postgres.sockets),
        "PGUSER": "bookrush",
        "PGDATABASE": database,
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_COMPILE": "1",  # each module when it is first used, and most are not
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "COLUMNS": "160",
    }
    made = Project(folder=tmp_path, environment={**kept, **proxies, **own})
    yield made
    made.end()
    services.postgres.drop_database(database)


def blocks() -> list[tuple[str, str]]:
    """Language and text of each block of the quickstart."""
    return re.findall(r"```(sh|python|text)\n(.*?)```", QUICKSTART, re.DOTALL)


def test_the_wheel_holds_the_library_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as package:
        names = set(package.namelist())
        metadata = package.read(next(name for name in names if name.endswith("METADATA"))).decode()
    here = {str(path.relative_to(ROOT)) for path in (ROOT / "kafka_bridge").rglob("*") if path.is_file()}
    code = {name for name in here if "__pycache__" not in name and not name.startswith("kafka_bridge/tests/")}
    beside = {f"kafka_bridge/{name}" for name in ("README.md", "LICENSE", "pyproject.toml")}
    assert {name for name in names if ".dist-info/" not in name} == code - beside
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "License-Expression: MIT" in metadata
    assert (ROOT / "LICENSE").read_bytes() == (ROOT / "kafka_bridge" / "LICENSE").read_bytes()


@pytest.mark.prove
def test_the_quickstart(project: Project) -> None:
    steps = blocks()
    for number, (language, text) in enumerate(steps):
        expected = steps[number + 1] if number + 1 < len(steps) else ("", "")
        if language == "python":
            project.write(text)
        elif language == "sh" and expected[0] == "text":
            project.wait_for(text, expected[1])
        elif language == "sh":
            project.do(text)
            if "testing.embedded" in text:
                _wait_for_file(project.folder / "kafka-address")

    # And what it only tells of.
    project.environment["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
    (project.folder / "ask_admin.py").write_text(ADMIN)
    assert project.run("python ask_admin.py").splitlines()[-1] == "plain"
    project.run('pip install --quiet --find-links "$WHEELS" "django-kafka-bridge[unfold,test]==0.1.0"')
    (project.folder / "with_unfold.py").write_text(
        'from mysite.settings import *\n\nINSTALLED_APPS = ["unfold", *INSTALLED_APPS]\n'
    )
    assert project.run("DJANGO_SETTINGS_MODULE=with_unfold python ask_admin.py").splitlines()[-1] == "unfold"
    fixtures = project.run("pytest --fixtures -q -p no:cacheprovider")
    assert all(name in fixtures for name in ("memory_broker", "embedded_kafka", "external_kafka"))
    (project.folder / "without.py").write_text("from mysite.settings import *\n\ndel KAFKA_BRIDGE\n")
    said = project.run("python manage.py check --settings without", fails=True)
    assert "(kafka_bridge.E006) KAFKA_BRIDGE is missing from the settings" in said


def _wait_for_file(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)
