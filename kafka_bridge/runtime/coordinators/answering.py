"""The child: answers questions about groups, a line of JSON each, until its input ends.

It is run as a script and imports nothing of ours, so that it is there in a tenth of a second. The first line says how
to reach the brokers, by librdkafka's names. See Note [Asked in a process of its own].
"""

import json
import sys
from collections.abc import Mapping
from concurrent.futures import Future, wait
from typing import Any, TypedDict

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription, MemberDescription


class Question(TypedDict):
    """What is asked; groups as the cluster calls them."""

    act: str
    """`describe` or `delete`."""
    groups: list[str]
    seconds: float
    """How long the brokers may take."""


def _answer(admin: AdminClient, question: Question) -> dict[str, Any]:
    ask = admin.describe_consumer_groups if question["act"] == "describe" else admin.delete_consumer_groups
    try:
        return {"groups": _results(ask(question["groups"], request_timeout=question["seconds"]))}
    except KafkaException as error:
        return {"error": [error.args[0].code(), error.args[0].str()]}


def _results(futures: Mapping[str, Future[Any]]) -> dict[str, Any]:
    wait(futures.values())  # what fails for one group is to keep nothing from being done for the others
    return {name: _result(future) for name, future in futures.items()}


def _result(future: Future[ConsumerGroupDescription | None]) -> Any:
    try:
        found = future.result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
            raise
        found = None
    if found is None:
        return [ConsumerGroupState.DEAD.name, []]
    return [found.state.name, [_member(member) for member in found.members]]


def _member(member: MemberDescription) -> list[Any]:
    assigned = member.assignment.topic_partitions if member.assignment else ()
    partitions = [[each.topic, each.partition] for each in assigned]
    return [member.member_id, member.client_id, member.host.removeprefix("/"), partitions]


def _main() -> None:
    admin = AdminClient(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        print(json.dumps(_answer(admin, json.loads(line))), flush=True)


if __name__ == "__main__":
    _main()
