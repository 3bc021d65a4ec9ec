"""Runs an experiment: finds or starts its brokers, and clears them away."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from devtools.experiments.lab import Lab, Report
from devtools.experiments.plans import Experiment, Verdict
from devtools.testing.services import Services
from kafka_bridge.runtime import clients

_ANSWER_SECONDS = 5.0
_EMBEDDED = "mockCluster"
"""How librdkafka's own broker calls its cluster. It is weak at groups, and makes no topics."""


def run(
    experiment: Experiment, *, prediction: str, seed: int, rounds: int, is_short: bool, state: Path, report: Report
) -> Verdict:
    """Run it, and compare what came of it with the prediction. `state` is the folder for brokers of its own.

    Raises:
        LocalError: its brokers cannot run on this machine.
        KafkaException, TimeoutError, Unfinished: it could not be brought to its end.
    """
    began = time.monotonic()
    with _lab(experiment, seed=seed, rounds=rounds, is_short=is_short, state=state, report=report) as lab:
        finding = experiment.run(lab)
        servers = lab.servers
    return Verdict(
        experiment=experiment,
        finding=finding,
        prediction=prediction,
        seed=seed,
        seconds=time.monotonic() - began,
        servers=servers,
    )


@contextmanager
def _lab(
    experiment: Experiment, *, seed: int, rounds: int, is_short: bool, state: Path, report: Report
) -> Iterator[Lab]:
    wanted = experiment.brokers or (0 if _shop_serves() else 1)
    if not wanted:
        lab = Lab(connection=clients.common(), seed=seed, rounds=rounds, is_short=is_short, report=report)
        try:
            yield lab
        finally:
            lab.close()
        return
    services = Services(state=state, purpose="experiments", brokers=wanted)
    try:
        report(f"starting {'a broker' if wanted == 1 else f'{wanted} brokers'} for it", 0.0)
        cluster = services.kafka()
        connection = {"bootstrap.servers": cluster.bootstrap_servers}
        lab = Lab(
            connection=connection, seed=seed, rounds=rounds, is_short=is_short, report=report, cluster=cluster
        )  # fmt: skip
        try:
            yield lab
        finally:
            lab.close()
    finally:
        services.stop()
        shutil.rmtree(services.state.path, ignore_errors=True)


def _shop_serves() -> bool:
    """Whether the shop's Kafka answers and is a real one."""
    try:
        metadata = AdminClient({**clients.common(), "log_level": 0}).list_topics(timeout=_ANSWER_SECONDS)
    except KafkaException:
        return False
    return not (metadata.cluster_id or "").startswith(_EMBEDDED)
