"""The documents say what is so: tables, commands, options, variables, addresses and quoted sentences exist."""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.urls import Resolver404, resolve

from events import catalogue
from kafka_bridge.consuming import consumer_groups, registry
from orders.state_machine import transitions
from shop.saga import tables

ROOT = Path(settings.BASE_DIR)
# Values that look like variables.
VALUES = {"SASL_SSL", "PROMETHEUS_MULTIPROC_DIR", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_BSP_MAX_QUEUE_SIZE"}
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ALL_DOCUMENTS = [*DOCUMENTS, ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*/**/*.md"))]
# These speak of a project of the reader's own, with files that are not ours.
OTHER_PROJECTS = ROOT / "docs" / "bridge"
README = (ROOT / "README.md").read_text()
APPS = ("devtools", "shop", "orders", "inventory", "payments", "events", "kafka_bridge", "money")
# Folders with which Django has its own plans.
DJANGO_FOLDERS = {
    "admin",
    "management",
    "migrations",
    "templatetags",
    "tests",
    "testing",
    "contract",
    "static",
    "locale",
}
# Names of the past are right there.
HISTORY = {"CHANGELOG.md"}
MADE_BY_RUNNING = (".bookrush/", ".venv/", "node_modules/")
MAKEFILE = (ROOT / "Makefile").read_text()


def example_names() -> set[str]:
    """The variables of .env.example."""
    return set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def each(pattern: str, *, flags: int = 0) -> Iterator[tuple[str, "re.Match[str]"]]:
    """Every place in the documents that fits, with the document's name."""
    for document in DOCUMENTS:
        for match in re.finditer(pattern, document.read_text(), flags):
            yield document.name, match


# -- The saga -----------------------------------------------------------------------------------------
def test_the_table_in_the_readme_is_the_saga() -> None:
    assert tables.as_markdown() in README


def test_the_diagram_is_the_saga() -> None:
    assert f"```mermaid\n{tables.as_mermaid()}\n```" in (ROOT / "docs" / "saga.md").read_text()


def test_the_answers_are_those_of_the_code() -> None:
    table = "\n".join(line for line in (transitions.__doc__ or "").splitlines() if line.startswith("|"))
    assert table in (ROOT / "docs" / "saga.md").read_text()


@pytest.mark.parametrize("flow", catalogue.FLOWS)
def test_each_arrow_of_a_flow_is_heard(flow: str) -> None:
    section = (ROOT / "docs" / "saga.md").read_text().split(f"### {flow}")[1].split("```")[1]
    arrows = re.findall(r"(\w+)->>(\w+): ([\w.]+)", section)
    events = {event.TYPE: event for event in catalogue.EVENTS}
    assert arrows
    for speaker, listener, event in arrows:
        assert events[event].TOPIC.owner == speaker
        assert listener in registry.listeners(events[event], {"flow": flow}), f"{listener} does not hear {event}"


# -- Commands ------------------------------------------------------------------------------------------
def test_manage_py_commands_and_their_options_exist() -> None:
    for document, match in each(r"manage\.py ((?!help)[a-z_]+)([^`\n|;)(]*)"):
        name, rest = match[1], match[2]
        assert name in get_commands(), f"{document}: {match[0]}"
        options = re.findall(r"--[a-z0-9-]+", rest)
        assert set(options) <= set(_options(name)), f"{document}: {match[0]}"


def _options(name: str) -> list[str]:
    command = load_command_class(get_commands()[name], name)
    parser: argparse.ArgumentParser = command.create_parser("manage.py", name)
    verbs = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    parsers = [parser, *(verb for choices in verbs for verb in choices.values())]
    return [option for each_parser in parsers for option in each_parser._option_string_actions]


def test_consumers_that_are_named_exist() -> None:
    known = {subscriber.name for subscriber in consumer_groups.all_groups()}
    for document, match in each(r"run_consumer ([a-z_]+)\b"):
        assert match[1] in known, f"{document}: {match[0]}"


def test_make_targets_and_variables_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    variables = set(re.findall(r"^([A-Z_]+) =", MAKEFILE, re.MULTILINE))
    for document, match in each(r"(?:^|`)(?:[A-Z_]+=\S+ )*make ([a-z]+)([^`\n]*)", flags=re.MULTILINE):
        assert match[1] in targets, f"{document}: {match[0]}"
        assert set(re.findall(r"([A-Z_]+)=", match[2])) <= variables, f"{document}: {match[0]}"


# -- Names -----------------------------------------------------------------------------------------------
def test_variables_that_are_named_exist() -> None:
    make = set(re.findall(r"^([A-Z_]+) =", MAKEFILE, re.MULTILINE))
    for document, match in each(r"(?<![\w-])([A-Z]{2,}(?:_[A-Z]+)+)\b"):
        if document != "glossary.md":
            known = match[1] in example_names() | make | VALUES or any(
                hasattr(m, match[1]) for m in (settings, catalogue)
            )
            assert known, f"{document}: {match[1]}"


def test_links_lead_somewhere() -> None:
    for document in ALL_DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
            path, _, anchor = target.partition("#")
            if path.startswith("http"):
                continue
            file = document.parent / path if path else document
            assert file.exists(), f"{document.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
                assert anchor in [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings], target


def test_addresses_of_the_shop_exist() -> None:
    for _, match in each(r"http://localhost:8000(/[a-z0-9/-]*)"):
        try:
            resolve(match[1])
        except Resolver404:
            # One of those that only a running demo has.
            resolve(match[1].removeprefix("/kafka"), urlconf="devtools.demo_pages.urls")


def test_files_and_folders_that_are_named_exist() -> None:
    """Paths from the root of the project, between backticks (`shop/urls.py`, `shop/audit/`) and after `ARGS=`."""
    for document in ALL_DOCUMENTS:
        if OTHER_PROJECTS in document.parents or document.name in HISTORY:
            continue
        text = document.read_text()
        named = re.findall(r"`((?:\.?[\w-]+/)+(?:[\w.-]+\.[a-z]+)?)(?:::\w+)?`", text)
        for path in named + re.findall(r"ARGS=\"([\w/]+/[\w./]+)", text):
            assert (ROOT / path).exists() or path.startswith(MADE_BY_RUNNING), f"{document.name}: {path}"


def test_functions_that_are_named_exist() -> None:
    """Those that stand behind their file: `orders/live.py` (`push`)."""
    for document, match in each(r"`([\w/]+\.py)`\s+\(((?:`\w+`(?:,\s+)?)+)"):
        names = {
            node.name
            for node in ast.walk(ast.parse((ROOT / match[1]).read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        assert set(re.findall(r"\w+", match[2])) <= names, f"{document}: {match[0]}"


def test_notes_that_are_named_exist() -> None:
    notes = set(
        re.findall(
            r"# Note \[([^\]]+)\]", "\n".join(path.read_text() for app in APPS for path in (ROOT / app).rglob("*.py"))
        )
    )
    for document, match in each(r"Note\s+\[([^\]]+)\](?!\()"):
        assert " ".join(match[1].split()) in notes | {"…"}, f"{document}: {match[0]}"


def test_each_room_has_a_line_in_the_architecture() -> None:
    """The packages of the layers, and the folders of the bridge, of the apps and of the shop."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = [f"{app}/" for app in APPS]
    for app in ("kafka_bridge", "orders", "inventory", "payments", "shop"):
        folders = (path for path in (ROOT / app).iterdir() if (path / "__init__.py").exists())
        rooms += [f"{app}/{path.name}/" for path in folders if path.name not in DJANGO_FOLDERS]
    missing = [room for room in rooms if f"`{room}`" not in text]
    assert not missing


def test_every_sentence_of_the_troubleshooting_table_is_one_that_is_said() -> None:
    python = [*sorted((ROOT / "devtools" / "local").rglob("*.py")), ROOT / "manage.py"]
    joined = re.sub(r"['\"]\s*\n\s*f?['\"]", "", "\n".join(source.read_text() for source in python))
    said = re.sub(r"\{[^{}]*\}", "…", joined) + MAKEFILE
    table = README.split("## When it does not start")[1].split("\n## ")[0]
    sentences = [row.split("|")[1].strip() for row in table.splitlines() if row.startswith("| ")][1:]
    assert len(sentences) > 10
    for sentence in sentences:
        for part in filter(None, (part.strip(" ,") for part in sentence.split("…"))):
            assert part in said, f"nobody says {part!r}"


def test_markers_that_are_explained_exist(pytestconfig: pytest.Config) -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text().split("\n## Tests")[1].split("\n## ")[0]
    known = {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) <= known


# -- Dependencies ----------------------------------------------------------------------------------------
def test_each_dependency_has_its_reason_and_no_other_has_one() -> None:
    text = (ROOT / "docs" / "decisions.md").read_text()
    for file in ("requirements.txt", "requirements-demo.txt", "requirements-dev.txt"):
        listed = set(re.findall(r"^([A-Za-z][\w-]*)", (ROOT / file).read_text(), re.MULTILINE))
        section = text.split(f"(`{file}`)")[1].split("\n#")[0]
        assert set(re.findall(r"^\| ([\w-]+) \|", section, re.MULTILINE)) - {"package"} == listed
