"""`make test ARGS="-m security"` has every test that shows the mend of a weakness that was found (XA1, XB4, …)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from devtools.tests.test_failures_doc import ROOT, cited_tests, python_files, sections

FOUND = {
    *(f"XA{number}" for number in range(1, 12)),
    *(f"XB{number}" for number in range(1, 9)),
    *(f"XC{number}" for number in range(1, 11)),
    *(f"XE{number}" for number in (*range(1, 10), 11, 13, 14, 15)),
}
NAME = re.compile(r"(?:\b|_)(X[ABCE]\d+)(?=\b|_)", re.IGNORECASE)


def _texts() -> Iterator[tuple[Path, dict[str, str]]]:
    """Each file of tests with what its tests are called and say, by name; under no name, what the file says."""
    for path in python_files():
        if path.name.startswith("test_") and path != Path(__file__):
            module = ast.parse(path.read_text())
            cases = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
            yield (
                path,
                {
                    "": ast.get_docstring(module) or "",
                    **{node.name: f"{node.name} {ast.get_docstring(node) or ''}" for node in cases},
                },
            )


def named_in_tests() -> Iterator[tuple[Path, set[str]]]:
    """Each file of tests with the weaknesses that its tests name."""
    for path, texts in _texts():
        yield path, {name.upper() for text in texts.values() for name in NAME.findall(text)}


def test_each_weakness_that_was_found_has_a_test() -> None:
    named = set[str]().union(*(names for _, names in named_in_tests()))
    assert named >= FOUND, sorted(FOUND - named)


def test_each_weakness_that_was_found_has_its_row_in_the_document() -> None:
    listed = {(path, name) for text in sections().values() for path, name in cited_tests(text)}
    in_document = set[str]()
    for path, texts in _texts():
        own = str(path.relative_to(ROOT))
        for name, text in texts.items():
            if (own, name) in listed or (not name and own in {file for file, _ in listed}):
                in_document |= {found.upper() for found in NAME.findall(text)}
    assert in_document >= FOUND, sorted(FOUND - in_document)


def test_all_of_these_tests_have_the_marker() -> None:
    without = [
        str(path) for path, names in named_in_tests() if names and "pytest.mark.security" not in path.read_text()
    ]
    assert not without
