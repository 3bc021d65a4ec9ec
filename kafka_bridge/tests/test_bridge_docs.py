"""docs/bridge says what is so: options, checks, commands, links and fixtures exist, and none is missing."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

import kafka_bridge
from kafka_bridge import pytest_plugin, testing
from kafka_bridge.runtime import conf

FOLDER = Path(settings.BASE_DIR) / "docs" / "bridge"
DOCUMENTS = sorted(FOLDER.glob("*.md"))
PACKAGE = Path(kafka_bridge.__file__).parent
# Django's own, in the quickstart.
DJANGO = {"startapp", "startproject", "shell", "migrate", "makemigrations", "check", "createsuperuser", "runserver"}


def options() -> Iterator[tuple[str, str, str]]:
    """Name, default and sentence of each option, as its class has them."""
    (found,) = [
        node
        for node in ast.parse(Path(conf.__file__).read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == "BridgeSettings"
    ]
    body = found.body[1:]
    for field, words in zip(body[::2], body[1::2], strict=True):
        assert isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        assert isinstance(words, ast.Expr) and isinstance(words.value, ast.Constant)
        default = ast.unparse(field.value) if field.value else "must be given"
        yield field.target.id, "{}" if "default_factory" in default else default, str(words.value.value)


def as_table() -> str:
    """The table of settings.md."""
    rows = (
        f"| `{name}` | {default if ' ' in default and 'must' in default else f'`{default}`'} | {words} |"
        for name, default, words in options()
    )
    return "\n".join(["| option | default | |", "|---|---|---|", *rows])


def test_every_option_is_in_the_table() -> None:
    assert [name for name, _, _ in options()] == [field.name for field in fields(conf.BridgeSettings)]
    text = (FOLDER / "settings.md").read_text()
    assert as_table() in text, f"settings.md wants this table:\n{as_table()}"


def test_every_system_check_is_told_of() -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py") if "tests" not in path.parts)
    ids = set(re.findall(r'id="kafka_bridge\.([EW]\d{3})"', source)) | {"E001", "E002", "E003"}
    told = set(re.findall(r"^\| `kafka_bridge\.([EW]\d{3})` \|", (FOLDER / "settings.md").read_text(), re.MULTILINE))
    assert told == ids


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere_and_commands_exist(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if path.startswith("http"):
            continue
        file = document.parent / path if path else document
        assert file.exists(), target
        headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
        assert not anchor or anchor in [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings], target
    commands = set(re.findall(r"manage\.py ([a-z_]+)", text)) - {"kafka_consume"}
    assert commands <= DJANGO | {name for name, app in get_commands().items() if app == "kafka_bridge"}


def test_every_document_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\((\w[\w-]*\.md)\)", (FOLDER / "README.md").read_text()))
    assert linked == {path.name for path in DOCUMENTS} - {"README.md"}


def test_fixtures_and_testing_names_exist() -> None:
    text = (FOLDER / "concepts.md").read_text().split("## Tests")[1]
    for fixture in re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE):
        assert hasattr(pytest_plugin, fixture)
    for name in ("relaying", "consuming", "stated", "give", "wait_until", "MemoryBroker"):
        assert f"`{name}" in text and name in testing.__all__
