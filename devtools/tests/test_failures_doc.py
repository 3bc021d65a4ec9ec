"""docs/failures.md against the code: its tests exist, and each number that code cites has a section."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
DOCUMENT = ROOT / "docs" / "failures.md"
CODE = ("orders", "inventory", "payments", "events", "money", "kafka_bridge", "shop", "devtools", "benchmarks")


def sections() -> dict[int, str]:
    """The text of each numbered section."""
    parts = re.split(r"^## (?:(\d+)\. .*|[^\d].*)$", DOCUMENT.read_text(), flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True) if number}


def cited_tests(text: str) -> list[tuple[str, str]]:
    """Path and name of each test that a section lists."""
    return re.findall(r"^- `([\w/]+\.py)::(\w+)`$", text, re.MULTILINE)


@cache
def names_in(path: Path) -> frozenset[str]:
    """Functions and classes of a file, its methods too."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return frozenset(node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds))


def python_files(*, below: tuple[str, ...] = CODE) -> Iterator[Path]:
    """All of our Python files."""
    for folder in below:
        yield from sorted((ROOT / folder).rglob("*.py"))


def cited_numbers() -> dict[int, str]:
    """Each number that code cites, with a file that does."""
    cited: dict[int, str] = {}
    for path in python_files():
        for match in re.finditer(r"FAILURES (\d+(?:(?:, | and )\d+)*)", path.read_text()):
            cited |= {int(number): str(path.relative_to(ROOT)) for number in re.findall(r"\d+", match[1])}
    return cited


def test_sections_are_numbered_without_a_gap() -> None:
    assert list(sections()) == list(range(1, len(sections()) + 1))


def test_the_table_at_the_beginning_has_each_section_once() -> None:
    rows = re.findall(r"^\| \[.*\) \| ([\d, ]+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    listed = [int(number) for row in rows for number in row.split(", ")]
    assert sorted(listed) == list(sections())


def test_each_section_has_a_test_and_all_of_them_exist() -> None:
    wrong = [f"section {number} has no test" for number, text in sections().items() if not cited_tests(text)]
    for number, text in sections().items():
        for path, name in cited_tests(text):
            if not (ROOT / path).is_file() or name not in names_in(ROOT / path):
                wrong.append(f"section {number}: {path}::{name} is not there; {_elsewhere(name)}")
    assert not wrong, "\n".join(wrong)


def _elsewhere(name: str) -> str:
    found = [str(path.relative_to(ROOT)) for path in python_files() if "tests" in path.parts and name in names_in(path)]
    return f"it is in {', '.join(found)}" if found else "nor anywhere else"


def test_each_scenario_that_others_ran_into_has_a_test() -> None:
    text = DOCUMENT.read_text().partition("## What others ran into\n")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    cited = [found for row in rows for found in re.findall(r"\| `([\w/]+\.py)::(\w+)` \|$", row)]
    assert len(cited) == len(rows) >= 20
    assert [name for path, name in cited if name not in names_in(ROOT / path)] == []


def test_each_list_item_of_a_section_is_a_test() -> None:
    for number, text in sections().items():
        assert len(re.findall(r"^- ", text, re.MULTILINE)) == len(cited_tests(text)), f"section {number}"


def test_each_number_that_code_cites_has_a_section() -> None:
    missing = {number: path for number, path in cited_numbers().items() if number not in sections()}
    assert cited_numbers()
    assert not missing


def test_each_test_that_cites_a_section_is_listed_there() -> None:
    """Functions and classes; a whole module that cites one has at least one of its tests listed."""
    missing = []
    for path in (path for path in python_files() if "tests" in path.parts):
        if "FAILURES" not in (code := path.read_text()):
            continue
        module = ast.parse(code)
        cases = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        for node in [module, *cases]:
            for match in re.finditer(r"FAILURES (\d+(?:(?:, | and )\d+)*)", ast.get_docstring(node) or ""):
                name = None if isinstance(node, ast.Module) else node.name
                for number in map(int, re.findall(r"\d+", match[1])):
                    listed = cited_tests(sections().get(number, ""))
                    here = str(path.relative_to(ROOT))
                    if not any(where == here and name in (None, test) for where, test in listed):
                        missing.append(f"section {number} does not list {here}::{name or '…'}")
    assert not missing, "\n".join(missing)


def test_files_and_functions_that_are_named_exist() -> None:
    for match in re.finditer(r"`([\w/]+\.py)`(?: \(((?:`\w+`(?:, )?)+))?", DOCUMENT.read_text()):
        path = ROOT / match[1]
        assert path.is_file(), match[1]
        for name in re.findall(r"\w+", match[2] or ""):
            assert name in names_in(path), f"{match[1]} has no {name}"
