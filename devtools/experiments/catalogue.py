"""The experiments, in the sequence a newcomer would take."""

from devtools.experiments.acks import ACKS_EXPERIMENT
from devtools.experiments.batching import BATCHING
from devtools.experiments.exactly_once import EXACTLY_ONCE
from devtools.experiments.keys import KEYS
from devtools.experiments.partitions import PARTITIONS
from devtools.experiments.plans import BadChoice, Experiment
from devtools.experiments.rebalance import REBALANCE
from devtools.experiments.share import SHARE

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
