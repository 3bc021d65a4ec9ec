"""What README says of the whole shop's speed stands in a recorded run."""

import pytest

from benchmarks import recorded

pytestmark = pytest.mark.rush


def test_readme_shows_the_recorded_runs() -> None:
    said = recorded.README.read_text().partition(recorded.BEGIN)[2].partition(recorded.END)[0]
    assert said == recorded.table(), "python -m benchmarks.recorded writes it anew"


def test_recorded_runs_name_machine_commit_and_date() -> None:
    for state in ("before", "now"):
        assert recorded.runs(state)
        for run in recorded.runs(state):
            assert {"commit", "date", "cores", "processor", "load"} <= run["machine"].keys()
            assert not run["problems"]
