"""Commands that are forked from one process end as they would in a process of their own."""

from collections.abc import Iterator

import pytest

from devtools.testing.manage_server import Done, ManageServer


@pytest.fixture(scope="module")
def server() -> Iterator[ManageServer]:
    """In an environment with something of its own."""
    server = ManageServer({"BOOKRUSH_ROLE": "rehearsal"})
    yield server
    server.close()


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("from django.conf import settings; print(settings.ROLE)", Done(0, "rehearsal\n", "")),
        ("import sys; print('no', file=sys.stderr); sys.exit(3)", Done(3, "", "no\n")),
        ("import sys; sys.exit('no')", Done(1, "", "no\n")),
        ("import sys; print(repr(sys.stdin.read()))", Done(0, "''\n", "")),
    ],
)
def test_output_errors_and_code(server: ManageServer, code: str, ended: Done) -> None:
    assert server.run("shell", "--no-imports", "-c", code) == ended


def test_an_exception_is_shown(server: ManageServer) -> None:
    done = server.run("shell", "--no-imports", "-c", "1 / 0")
    assert done.code == 1
    assert "ZeroDivisionError" in done.errors
