"""What README says of the whole shop's speed stands in a recorded run."""

import json
from pathlib import Path

import pytest

from benchmarks import recorded

pytestmark = pytest.mark.rush


def test_readme_shows_the_recorded_runs() -> None:
    said = recorded.README.read_text().partition(recorded.BEGIN)[2].partition(recorded.END)[0]
    assert said == recorded.table(), "python -m benchmarks.recorded writes it anew"


def test_the_table_has_medians_ranges_and_ratios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "FOLDER", tmp_path)
    machine = {"commit": "abc", "date": "2026-11-28T16:00:00+00:00", "cores": "2", "processor": "P", "load": "0.10"}
    for name, factor in {"before-1": 1, "now-1": 4, "now-2": 5, "now-3": 3}.items():
        run = {**dict.fromkeys(recorded.SHOWN, 100.0 * factor), "machine": machine, "problems": []}
        (tmp_path / f"{name}.json").write_text(json.dumps(run))
    lines = recorded.table().splitlines()
    assert lines[2].endswith("| 100 /s | 400 (300 to 500) /s | 4 | ≥ 400 /s |")
    assert lines[-1].startswith("Now: 3 runs, commit `abc`, 2026-11-28, 2 cores of P, load before the run 0.10.")


def test_recorded_runs_name_machine_commit_and_date() -> None:
    for state in ("before", "now"):
        for run in recorded.runs(state):
            assert {"commit", "date", "cores", "processor", "load"} <= run["machine"].keys()
            assert not run["problems"]
