"""One experiment at a time, as a process beside the demo."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from devtools.demo_control.channel import Refused
from devtools.experiments import catalogue
from devtools.experiments.plans import BadChoice
from devtools.local.roles import PROJECT
from devtools.local.supervisor import Command, Supervisor

NAME = "experiment"
FILE = "experiment.json"
SECONDS_MAX = 420.0


class ExperimentRuns:
    """Of the thread that supervises; `tick` a few times a second."""

    def __init__(self, supervisor: Supervisor, run: Path, environment: Callable[[], Mapping[str, str]]) -> None:
        """What it says of itself is in the file `experiment.json` of the folder `run`."""
        self._supervisor, self._file, self._environment = supervisor, run / FILE, environment
        self._until = 0.0

    def start(self, name: str, prediction: str, seed: int) -> None:
        """Start it.

        Raises:
            Refused: there is no such experiment or prediction, or one is running.
        """
        try:
            experiment = catalogue.find(name)
            if prediction:
                experiment.check_prediction(prediction)
        except BadChoice as error:
            raise Refused(str(error)) from error
        if self._supervisor.is_running(NAME):
            raise Refused("An experiment is running; wait for its verdict, or stop it.")
        options = ["--seed", str(seed), "--status-file", str(self._file)]
        if prediction:
            options += ["--predict", prediction]
        self._file.unlink(missing_ok=True)
        command = Command(
            name=NAME,
            arguments=[sys.executable, "manage.py", "experiment", name, "--json", *options],
            environment={**self._environment(), "BOOKRUSH_ROLE": NAME},
            folder=PROJECT,
        )
        self._supervisor.start(command, on_end=lambda: None)
        self._until = time.monotonic() + SECONDS_MAX

    def stop(self) -> None:
        """Stop it; it clears away what it has made."""
        self._supervisor.stop(NAME, within_seconds=8)

    def tick(self) -> None:
        """Stop one that takes far too long."""
        if self._until and time.monotonic() > self._until and self._supervisor.is_running(NAME):
            self.stop()

    def as_object(self) -> dict[str, Any]:
        """For the page."""
        return {"is_running": self._supervisor.is_running(NAME)}
