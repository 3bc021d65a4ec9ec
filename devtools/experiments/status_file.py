"""What an experiment says of itself while it runs, in a file that a page reads."""

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from devtools.experiments.plans import Experiment, Verdict

_STEPS_KEPT = 40


class StatusFile:
    """Replaced as a whole at each step, so who reads it never sees half of one. Without a path it does nothing."""

    def __init__(self, path: Path | None, experiment: Experiment, prediction: str) -> None:
        self._path = path
        self._said: dict[str, Any] = {
            "experiment": experiment.name,
            "prediction": prediction,
            "pid": os.getpid(),
            "started_at": time.time(),
            "done": 0.0,
            "steps": [],
            "error": "",
            "verdict": None,
        }

    def __enter__(self) -> Self:
        self._write()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Whatever ended it, it is said."""
        if error is not None and not self._said["error"]:
            self.fail("It was stopped." if isinstance(error, KeyboardInterrupt) else f"It failed: {error}")

    def note(self, text: str, done: float) -> None:
        """One more step."""
        self._said["done"] = done
        self._said["steps"] = [*self._said["steps"], text][-_STEPS_KEPT:]
        self._write()

    def fail(self, why: str) -> None:
        """It came to no end."""
        self._said["error"] = why
        self._write()

    def finish(self, verdict: Verdict) -> None:
        """It is over."""
        self._said |= {"done": 1.0, "verdict": verdict.as_object()}
        self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self._said))
        part.replace(self._path)
