"""What import-linter cannot say: no module of the bridge uses another's private names; and what is no library's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import kafka_bridge

PACKAGE = Path(kafka_bridge.__file__).parent
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if not {"tests", "migrations"} & set(path.parts)]
# Of tables and triggers that a running shop has; see the migrations.
KEPT = {"bookrush.pruning"}


def name_of(path: Path) -> str:
    """A module as it is imported."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in MODULES}


def borrowed(path: Path) -> Iterator[str]:
    """Private names of other modules of the bridge that a module uses."""
    tree, own = ast.parse(path.read_text()), name_of(path)
    modules: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("kafka_bridge"):
            continue
        for imported in node.names:
            if f"{node.module}.{imported.name}" in NAMES:
                modules.add(imported.asname or imported.name)
            elif is_private(imported.name) and node.module != own:
                yield f"{node.module}.{imported.name}"
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and is_private(node.attr)):
            continue
        if node.value.id in modules:
            yield f"{node.value.id}.{node.attr}"


def is_private(name: str) -> bool:
    """Whether it is its module's own business."""
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_uses_a_private_name_of_another_one(path: Path) -> None:
    assert list(borrowed(path)) == []


def test_nothing_of_bookrush_is_in_the_library() -> None:
    files = [*MODULES, *PACKAGE.rglob("*.html"), *PACKAGE.rglob("*.css")]
    found = {match for path in files for match in re.findall(r"(?i)[\w.]*bookrush[\w.]*", path.read_text())}
    assert found == KEPT


def test_every_public_name_is_there() -> None:
    assert {name for name in kafka_bridge.__all__ if getattr(kafka_bridge, name) is None} == set()
    assert set(kafka_bridge.__all__) == set(kafka_bridge._HOMES)
    described = set(re.findall(r"`(\w+)`", (kafka_bridge.__doc__ or "").split("|---|---|")[1].split("\n\n")[0]))
    assert set(kafka_bridge.__all__) <= described
    with pytest.raises(AttributeError, match="no attribute 'publsh'"):
        kafka_bridge.publsh()  # type: ignore[attr-defined]  # that is the point
