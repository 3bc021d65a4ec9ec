"""How several processes share a run of tests, also when one of them crashes."""

import pytest
from django.conf import settings

pytest_plugins = "pytester"

# As in this project, but for what starts PostgreSQL and Redis.
CONFTEST = """
from pathlib import Path

from devtools.testing import sharing

sharing.PROJECT = Path(__file__).parent


def pytest_xdist_make_scheduler(config, log):
    return sharing.Scheduling(config, log)
"""
FIVE = """
import os
import pytest

# {mark}
@pytest.mark.parametrize("number", range(5))
def test_it(number):
    if {crashes}:
        os.abort()
"""
TELLS = """
import os
from pathlib import Path
import pytest

# {mark}
@pytest.mark.parametrize("number", range(5))
def test_it(number):
    with Path("told").open("a") as told:
        print(os.environ["PYTEST_XDIST_WORKER"], "{mark}", file=told)
"""
OPTIONS = ("-p", "xdist", "--no-loadscope-reorder")


@pytest.fixture(autouse=True)
def _shares_as_we_do(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(settings.BASE_DIR))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest(CONFTEST)


@pytest.mark.parametrize(
    ("mark", "at"),
    [("running_shop", 0), ("mark.kafka", 4), ("mark.kafka mark.together", 2)],
)
def test_a_process_that_crashes_fails_one_test_and_the_others_run(
    pytester: pytest.Pytester, mark: str, at: int
) -> None:
    pytester.makepyfile(
        test_crashes=FIVE.format(mark=mark, crashes=f"number == {at}"),
        test_passes=FIVE.format(mark=mark, crashes="False"),
    )

    done = pytester.runpytest_subprocess("--numprocesses=2", *OPTIONS, timeout=120)

    done.assert_outcomes(passed=9, failed=1)
    done.stdout.fnmatch_lines([f"*crashed while running 'test_crashes.py::test_it[[]{at}[]]'*"])


def test_one_crash_after_the_other_leaves_nothing_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_crashes=FIVE.format(mark="running_shop", crashes="number < 3"),
        test_passes=FIVE.format(mark="nothing", crashes="False"),
    )

    done = pytester.runpytest_subprocess("--numprocesses=2", *OPTIONS, timeout=120)

    done.assert_outcomes(passed=7, failed=3)


def test_one_process_begins_with_what_needs_neither_shop_nor_broker(pytester: pytest.Pytester) -> None:
    marks = ("running_shop", "mark.kafka", "nothing")
    pytester.makepyfile(**{f"test_{number}": TELLS.format(mark=mark) for number, mark in enumerate(marks)})

    done = pytester.runpytest_subprocess("--numprocesses=3", *OPTIONS, timeout=120)

    done.assert_outcomes(passed=15)
    told = [line.split() for line in (pytester.path / "told").read_text().splitlines()]
    first = [next(mark for process, mark in told if process == each) for each in {process for process, _ in told}]
    assert sorted(first) == ["nothing", "running_shop", "running_shop"]
    by = {mark: {process for process, told_mark in told if told_mark == mark} for mark in marks}
    assert len(by["running_shop"]) == 2, "no more processes than that start a shop"
