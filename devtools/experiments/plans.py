"""What an experiment is, and what comes of one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devtools.experiments.lab import Lab


class BadChoice(ValueError):
    """There is no such experiment or prediction; the message says which there are."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One line of a chart."""

    label: str
    value: float
    words: str
    """The value as people read it, with its unit."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was measured."""

    outcome: str
    """The key of the choice that was right."""
    verdict: str
    """One sentence, with the figures in it."""
    chart: str
    """What the bars measure, with the unit."""
    bars: tuple[Bar, ...]
    notes: tuple[str, ...] = ()
    """How it was caused, and why it came out so."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """For programs."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One question."""

    name: str
    title: str
    about: str
    """What is done, in two sentences."""
    question: str
    choices: Mapping[str, str]
    """By key, a prediction in words."""
    run: Callable[[Lab], Finding]
    seconds: int
    """About how long it takes on two quiet cores, its own brokers' start included."""
    brokers: int = 0
    """How many brokers of its own it needs; 0: the shop's will do."""

    def check_prediction(self, key: str) -> str:
        """The key, if it is one of the choices.

        Raises:
            BadChoice: it is not.
        """
        if key not in self.choices:
            raise BadChoice(f"{self.name} has no prediction {key!r}; there are: {', '.join(self.choices)}.")
        return key


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A finding beside what was predicted."""

    experiment: Experiment
    finding: Finding
    prediction: str
    """The key of a choice; empty if none was made."""
    seed: int
    seconds: float
    servers: str
    """Where it ran."""

    @property
    def was_right(self) -> bool | None:
        """Whether the prediction came true; None if there was none."""
        return self.prediction == self.finding.outcome if self.prediction else None

    @property
    def answer(self) -> str:
        """What is said about the prediction."""
        right = self.experiment.choices[self.finding.outcome]
        if self.was_right is None:
            return f"What happened: {right}."
        if self.was_right:
            return f"You were right: {right}."
        return f"You said “{self.experiment.choices[self.prediction]}”. What happened: {right}."

    def as_object(self) -> dict[str, Any]:
        """For JSON."""
        finding = self.finding
        return {
            "experiment": self.experiment.name,
            "prediction": self.prediction or None,
            "outcome": finding.outcome,
            "was_right": self.was_right,
            "answer": self.answer,
            "verdict": finding.verdict,
            "chart": finding.chart,
            "bars": [{"label": bar.label, "value": bar.value, "words": bar.words} for bar in finding.bars],
            "notes": list(finding.notes),
            "figures": dict(finding.figures),
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "kafka": self.servers,
        }
