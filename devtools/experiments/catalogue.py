"""The experiments, in the sequence a newcomer would take."""

from devtools.experiments.plans import BadChoice, Experiment
from devtools.experiments.questions.acks import ACKS_EXPERIMENT
from devtools.experiments.questions.batching import BATCHING
from devtools.experiments.questions.exactly_once import EXACTLY_ONCE
from devtools.experiments.questions.keys import KEYS
from devtools.experiments.questions.partitions import PARTITIONS
from devtools.experiments.questions.rebalance import REBALANCE
from devtools.experiments.questions.share import SHARE

EXPERIMENTS = (KEYS, BATCHING, ACKS_EXPERIMENT, PARTITIONS, REBALANCE, EXACTLY_ONCE, SHARE)


def find(name: str) -> Experiment:
    """The experiment with this name.

    Raises:
        BadChoice: there is none.
    """
    for experiment in EXPERIMENTS:
        if experiment.name == name:
            return experiment
    raise BadChoice(f"There is no experiment {name!r}; there are: {', '.join(each.name for each in EXPERIMENTS)}.")
