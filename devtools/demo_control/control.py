"""What the demo answers to its pages."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from devtools.demo_control.acts import Parts
from devtools.demo_control.breaker import Breaker
from devtools.demo_control.channel import Listener, Refused
from devtools.demo_control.experiment_runs import ExperimentRuns


class DemoControl:
    """Opened once the roles run; `tick` it a few times a second from the thread that supervises."""

    def __init__(self, parts: Parts, *, sockets: Path, run: Path) -> None:
        self.breaker = Breaker(parts)
        self.experiments = ExperimentRuns(parts.supervisor, run, parts.environment)
        self._listener = Listener(sockets, self._answer)
        self._answers: Mapping[str, Callable[[dict[str, Any]], None]] = {
            "look": lambda _: None,
            "break": self._break,
            "undo": self._undo,
            "experiment": self._experiment,
            "stop_experiment": lambda _: self.experiments.stop(),
        }

    def open(self) -> None:
        """Listen."""
        self._listener.open()

    def tick(self) -> None:
        """Answer who has asked, and undo what is due."""
        self._listener.serve()
        self.breaker.tick()
        self.experiments.tick()

    def close(self) -> None:
        """Listen no more; what is broken is undone by the end of all of it."""
        self._listener.close()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = self._answers.get(_text(request, "do"))
        if answer is None:
            raise Refused("That is no request.")
        answer(request)
        return {"breaks": self.breaker.as_object(), "experiment": self.experiments.as_object()}

    def _break(self, request: dict[str, Any]) -> None:
        self.breaker.begin(_text(request, "act"), _text(request, "target"), _number(request, "seconds"))

    def _undo(self, request: dict[str, Any]) -> None:
        self.breaker.undo(_number(request, "id"))

    def _experiment(self, request: dict[str, Any]) -> None:
        self.experiments.start(_text(request, "name"), _text(request, "prediction"), _number(request, "seed"))


def _text(request: dict[str, Any], name: str) -> str:
    value = request.get(name, "")
    if not isinstance(value, str) or len(value) > 100:
        raise Refused(f"{name} is a short text.")
    return value


def _number(request: dict[str, Any], name: str) -> int:
    value = request.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise Refused(f"{name} is a number.")
    return value
