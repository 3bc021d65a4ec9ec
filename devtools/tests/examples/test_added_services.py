"""docs/add-a-service.md: a service from the scaffold passes its tests at once, and so does the fraud check."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from devtools.testing.services import STATE

pytestmark = pytest.mark.window
ROOT = Path(settings.BASE_DIR)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for services below the project, where pytest finds the project's plugin; commands run in it."""
    made = STATE / "services" / uuid4().hex[:8]
    made.mkdir(parents=True)
    monkeypatch.chdir(made)
    yield made
    for path in sorted(made.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    made.rmdir()


def run(*arguments: str, folder: Path, apps: str) -> str:
    """What a command of the project prints with these apps added."""
    environment = os.environ | {"EXTRA_APPS": apps, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(  # noqa: S603
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_service_and_the_fraud_check_pass_their_tests(folder: Path) -> None:
    """W2: no file of the project is touched; both are named by a setting alone."""
    call_command("start_service", "parcel_watch", hears=["order.shipped", "payment.confirmed"])
    own = [str(folder / "parcel_watch"), "examples/fraud_check"]
    run("-m", "ruff", "format", "--check", own[0], folder=folder, apps="")
    apps = "parcel_watch,examples.fraud_check"
    assert "[100%]" in run("-m", "pytest", "-p", "no:cacheprovider", *own, folder=folder, apps=apps)


@pytest.mark.parametrize(
    ("name", "hears", "words"),
    [
        ("Parcel", ["order.created"], "no name for an app"),
        ("class", ["order.created"], "no name for an app"),
        ("shipping", ["order.created"], "a consumer group shipping already"),
        ("orders", ["order.created"], "already"),
        ("json", ["order.created"], "something called json already"),
        (
            "parcel_watch",
            ["order.creatd"],
            r"Nobody states 'order\.creatd'\. There are: book\.updated, cart\.changed, inventory\.expired",
        ),
    ],
)
def test_what_cannot_be_made_is_refused(name: str, hears: list[str], words: str, folder: Path) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("start_service", name, hears=hears)
    assert list(folder.iterdir()) == []


def test_a_dry_run_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("start_service", "parcel_watch", hears=["order.shipped"], dry_run=True, json=True)
    said = json.loads(capsys.readouterr().out)
    assert (said["app"], said["group"], len(said["files"])) == ("parcel_watch", "parcel_watch", 10)
    assert list(folder.iterdir()) == []
