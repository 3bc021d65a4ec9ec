"""What is not code: the hooks of pre-commit run what `make lint` runs, and nothing that would have to be fetched."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
HOOKS: list[dict[str, Any]] = [
    hook
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repository["hooks"]
]
PIN = re.compile(r"^([\w-]+)(?:\[[\w,-]+\])?==([\w.]+)", re.MULTILINE)
CHANGES = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_pre_commit_can_read_its_configuration() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-config", ".pre-commit-config.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook["id"]))
def test_hooks_call_what_is_there(hook: dict[str, Any]) -> None:
    tool, *arguments = hook["entry"].split()
    assert hook["language"] == "system"
    if tool == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    else:
        assert tool.startswith(".venv/bin/")
        assert (Path(sys.executable).parent / Path(tool).name).exists(), f"{tool} is in no requirements file"


def test_hooks_are_those_of_make_lint() -> None:
    recipe = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    for tool in ("ruff check", "ruff format", "djade", "lint-imports", "mypy"):
        assert tool in recipe
        assert any(tool in hook["entry"] for hook in HOOKS), tool


def test_what_the_image_gets_is_locked_with_hashes() -> None:
    """A package that was replaced at the index does not get into the image. `make lock` writes the file."""
    lock = (ROOT / "requirements.lock").read_text()
    locked = {name.lower(): version for name, version in PIN.findall(lock)}
    pinned = {name.lower(): version for name, version in PIN.findall((ROOT / "requirements.txt").read_text())}
    assert pinned.items() <= locked.items(), "run `make lock`"
    entries = re.split(r"^(?=[\w-])", lock, flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize(
    "text",
    ["AKIA" + "IOSFODNN7EXAMPLQ", "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc", "-----BEGIN RSA " + "PRIVATE KEY-----"],
    ids=["AWS", "Stripe", "private key"],
)
def test_a_key_in_a_file_is_found(text: str, tmp_path: Path) -> None:
    recipe = (ROOT / "Makefile").read_text().split("\nlint-secrets:")[1].split("\n\n")[0]
    command = recipe.partition("\n\t")[2].replace("$$", "$").replace("git ls-files -z", "printf '%s\\0' settings.py")
    (tmp_path / "settings.py").write_text(f'KEY = "{text}"\n')
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603, S607
    assert done.returncode != 0
    assert "settings.py:1" in done.stdout


def test_the_changelog_begins_with_what_is_unreleased_and_has_todays_version() -> None:
    assert CHANGES[0] == "Unreleased"
    [version] = re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version in CHANGES
