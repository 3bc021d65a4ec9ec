"""`make test ARGS="-m security"` has every test that shows the mend of a weakness that was found (XA1, XB4, …)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from devtools.tests.test_failures_doc import python_files

FOUND = {
    *(f"XA{number}" for number in range(1, 12)),
    *(f"XB{number}" for number in range(1, 9)),
    *(f"XC{number}" for number in (1, *range(3, 10))),
    *(f"XE{number}" for number in (*range(1, 10), 11, 13, 14, 15)),
}
NAME = re.compile(r"(?:\b|_)(X[ABCE]\d+)(?=\b|_)", re.IGNORECASE)


def named_in_tests() -> Iterator[tuple[Path, set[str]]]:
    """Each file of tests with what its tests name."""
    for path in python_files():
        if path.name.startswith("test_") and path != Path(__file__):
            module = ast.parse(path.read_text())
            cases = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
            texts = [ast.get_docstring(module) or "", *(f"{n.name} {ast.get_docstring(n) or ''}" for n in cases)]
            yield path, {name.upper() for text in texts for name in NAME.findall(text)}


def test_each_weakness_that_was_found_has_a_test() -> None:
    named = set[str]().union(*(names for _, names in named_in_tests()))
    assert named >= FOUND, sorted(FOUND - named)


def test_all_of_these_tests_have_the_marker() -> None:
    without = [
        str(path) for path, names in named_in_tests() if names and "pytest.mark.security" not in path.read_text()
    ]
    assert not without
