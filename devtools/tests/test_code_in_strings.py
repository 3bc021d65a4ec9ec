"""Code that tests and drills hand to other processes as strings: no type checker reads it, so its imports are tried."""

import ast
import importlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = frozenset(
    {"benchmarks", "devtools", "events", "inventory", "kafka_bridge", "money", "orders", "payments", "shop"}
)
IMPORT = re.compile(r"^\s*from ([\w.]+) import ([\w, ]+)$", re.MULTILINE)


def strings(tree: ast.AST) -> Iterator[str]:
    """All string literals; what an f-string fills in is left blank."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "" for part in node.values)


def imports() -> set[tuple[str, str, str]]:
    """File, module and name of every import of our modules that stands in a string."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    return {
        (file, module, name.split(" as ")[0].strip())
        for file in listed.splitlines()
        for text in strings(ast.parse((ROOT / file).read_text()))
        for module, names in IMPORT.findall(text.replace(";", "\n"))
        for name in names.split(",")
        if module.split(".")[0] in OURS
    }


def exists(module: str, name: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), name) or bool(importlib.import_module(f"{module}.{name}"))
    except ModuleNotFoundError:
        return False


def test_imports_in_strings_exist() -> None:
    found = imports()
    assert len(found) > 10
    missing = [
        f"{file}: from {module} import {name}" for file, module, name in sorted(found) if not exists(module, name)
    ]
    if missing:
        pytest.fail("\n".join(missing))
