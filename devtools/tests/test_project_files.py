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


def test_the_changelog_begins_with_what_is_unreleased_and_has_todays_version() -> None:
    assert CHANGES[0] == "Unreleased"
    [version] = re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version in CHANGES
