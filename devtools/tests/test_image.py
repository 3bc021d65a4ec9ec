"""What goes into the container image, and what `deploy/make_env.py` writes for it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from devtools.local import roles

pytestmark = pytest.mark.security

ROOT = Path(settings.BASE_DIR)
DEMO_ONLY = re.findall(r"^([\w-]+)==", (ROOT / "requirements-demo.txt").read_text(), re.MULTILINE)
# Every command is loaded, as `manage.py help NAME` would.
LOAD_ALL_COMMANDS = """
import sys
sys.modules.update(dict.fromkeys({modules!r}))
from django.core.management import call_command, get_commands, load_command_class
import django
django.setup()
call_command("check")
print(*(name for name, app in get_commands().items() if load_command_class(app, name) and not app.startswith("django")))
"""


def let_in() -> set[str]:
    """What goes into the image."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*", "everything is left out but what is let in"
    return {line[1:] for line in lines if line.startswith("!")}


def test_image_gets_every_app_and_no_secret() -> None:
    own_apps = {app for app in settings.INSTALLED_APPS if (ROOT / app / "__init__.py").exists()} - {"devtools"}
    assert own_apps | {"events", "money", "manage.py", "requirements.lock", "templates", "deploy/setup.sh"} == let_in()


def test_what_is_in_the_image_runs_without_the_rest(tmp_path: Path) -> None:
    """Neither devtools nor tests nor the packages of the demo are there, and every command can be loaded."""
    for name in let_in():
        if (source := ROOT / name).is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    (tmp_path / "manage.py").write_bytes((ROOT / "manage.py").read_bytes())
    modules = [package.replace("-", "_") for package in DEMO_ONLY]
    run = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", LOAD_ALL_COMMANDS.format(modules=modules)],
        cwd=tmp_path, env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "shop.settings"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "run_consumer" in run.stdout
    assert "run_drill" not in run.stdout


def test_make_env_fills_in_the_secrets_once(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / ".env.example", tmp_path)
    script = shutil.copy(ROOT / "deploy" / "make_env.py", tmp_path / "deploy")
    first = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)  # noqa: S603
    written = (tmp_path / ".env").read_text()
    second = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)  # noqa: S603

    assert (first.returncode, second.returncode) == (0, 1)
    secret = re.compile(r"^(SECRET_KEY|PAYMENT_WEBHOOK_SECRETS|\w+_PASSWORD)=(\w*)$", re.MULTILINE)
    filled = dict(secret.findall(written))
    assert {len(value) for value in filled.values()} == {64}
    assert len(set(filled.values())) == len(filled) > len([*roles.group_names()])
    assert (tmp_path / ".env").read_text() == written
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_a_settings_file_of_an_older_release_gets_the_secrets_that_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / ".env.example", tmp_path)
    script = shutil.copy(ROOT / "deploy" / "make_env.py", tmp_path / "deploy")
    (tmp_path / ".env").write_text("SECRET_KEY=mine\nPOSTGRES_PASSWORD=\n")
    for _ in range(2):
        subprocess.run([sys.executable, script, "--add"], check=True, capture_output=True)  # noqa: S603
    written = (tmp_path / ".env").read_text()
    assert "SECRET_KEY=mine\n" in written
    assert len(re.findall(r"^PAYMENTS_PASSWORD=\w{64}$", written, re.MULTILINE)) == 1
    assert len(re.findall(r"^POSTGRES_PASSWORD=\w{64}$", written, re.MULTILINE)) == 1
