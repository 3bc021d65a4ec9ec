"""With three brokers the cards of acks and of the cluster show three copies, as a demo with KAFKA=cluster does."""

import dataclasses
from typing import Any

import pytest

from shop.kafka_window.cards import acts
from shop.kafka_window.cards.practice import Practice

pytestmark = [pytest.mark.window, pytest.mark.kafka, pytest.mark.together, pytest.mark.django_db(transaction=True)]


@pytest.mark.prove
def test_on_three_brokers_there_are_three_copies(kafka_cluster: Any, settings: Any) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE, bootstrap_servers=kafka_cluster.bootstrap_servers
    )
    with Practice() as practice:
        acks = acts.ACTS["acks"](practice)
        cluster = acts.ACTS["cluster"](practice)
    assert acks.choice == "nothing"
    assert "all 3 in-sync copies (brokers [1, 2, 3])" in acks.sentence
    assert cluster.choice == "leader"
    assert "copies lie on [1, 2, 3]" in cluster.sentence
