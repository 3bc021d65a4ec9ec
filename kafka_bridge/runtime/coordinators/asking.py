"""Questions about groups, asked through a child; see Note [Asked in a process of its own]."""

import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from confluent_kafka import KafkaError, KafkaException

from kafka_bridge.runtime import clients
from kafka_bridge.runtime.coordinators.answering import Question

log = logging.getLogger(__name__)
_SCRIPT = Path(__file__).with_name("answering.py")
# Beyond what the brokers may take: Python and the client start in a tenth of it on an idle machine.
_START_SECONDS = 2.0
_CHUNK_BYTES = 65_536


class GroupMember(NamedTuple):
    """A member of a group, as the group's coordinator knows it."""

    id: str
    client_id: str
    host: str
    partitions: tuple[tuple[str, int], ...]
    """Topics as the cluster calls them."""

    @property
    def words(self) -> str:
        """The end of its id, its client's and its host."""
        return f"{self.id[-8:]} {self.client_id} {self.host}"


class GroupState(NamedTuple):
    """A group, as its coordinator knows it."""

    state: str
    """`STABLE`, `EMPTY`, `DEAD` where it has never been, …"""
    members: tuple[GroupMember, ...]


class Coordinators:
    """One child, started by the first question, and again where it has died. Not for several threads."""

    def __init__(self, connection: Mapping[str, Any] | None = None) -> None:
        """`connection`: how to reach the brokers, by librdkafka's names; None: as the settings say."""
        self._connection = connection
        self._child: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._config: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Of the child, while there is one."""
        return self._child.pid if self._child else None

    def describe(self, groups: Sequence[str], *, within_seconds: float) -> dict[str, GroupState]:
        """What coordinators say of these groups of ours; blocks for two seconds longer at most.

        Raises:
            KafkaException: the brokers do not answer, or refuse, or the child has died of asking.
        """
        prefix = clients.conf().group_prefix
        answer = self._ask({"act": "describe", "groups": [prefix + name for name in groups], "seconds": within_seconds})
        return {name.removeprefix(prefix): _state(*found) for name, found in answer.items()}

    def delete(self, full_names: Sequence[str], *, within_seconds: float) -> None:
        """Delete these groups, as the cluster calls them.

        Raises:
            KafkaException: as `describe`, or one of them has members; the others are deleted.
        """
        self._ask({"act": "delete", "groups": list(full_names), "seconds": within_seconds})

    def close(self) -> None:
        """End the child; another question starts a new one."""
        child, line, self._child, self._line = self._child, self._line, None, None
        if line is not None:
            line.close()
        if child is not None:
            child.kill()
            child.wait()

    def _ask(self, question: Question) -> dict[str, Any]:
        if not question["groups"]:
            return {}
        try:
            answer = json.loads(self._exchange(question))
        except BaseException:
            self.close()  # what it would still say belongs to this question
            raise
        if "error" in answer:
            raise KafkaException(KafkaError(*answer["error"]))
        return dict(answer["groups"])

    def _exchange(self, question: Question) -> bytes:
        until = time.monotonic() + question["seconds"] + _START_SECONDS
        answer = bytearray()
        try:
            line = self._opened()
            line.sendall(_encode(question))
            while not answer.endswith(b"\n"):
                line.settimeout(max(0.001, until - time.monotonic()))
                part = line.recv(_CHUNK_BYTES)
                if not part:
                    raise BrokenPipeError
                answer += part
        except TimeoutError as error:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no coordinator answered in time")) from error
        except OSError as error:
            raise self._death(error) from error
        return bytes(answer)

    def _opened(self) -> socket.socket:
        """The way to a child that asks the brokers of the settings; tests change those."""
        asked = clients.common() if self._connection is None else self._connection
        config = {key: value for key, value in asked.items() if not callable(value)} | {"log_level": 0}
        if self._line is not None and config == self._config:
            return self._line
        self.close()
        self._config = config
        self._line, theirs = socket.socketpair()
        with theirs:
            # A Ctrl-C is for its parent, whose end ends its input.
            self._child = subprocess.Popen(  # noqa: S603  # our own script
                [sys.executable, "-P", str(_SCRIPT)],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
        # How to sign in goes no way that others can see, such as its arguments.
        self._line.sendall(_encode(config))
        return self._line

    def _death(self, error: OSError) -> KafkaException:
        code: object = error  # it could not be started
        if self._child is not None:
            self._child.kill()
            code = self._child.wait()
        log.warning("the process that asks Kafka about groups has ended (%s); the next question starts another", code)
        return KafkaException(KafkaError(KafkaError._TRANSPORT, "who asks a group's coordinator has ended"))


def _encode(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _state(state: str, members: Sequence[Sequence[Any]]) -> GroupState:
    return GroupState(state, tuple(_member(*member) for member in members))


def _member(number: str, client_id: str, host: str, partitions: Sequence[tuple[str, int]]) -> GroupMember:
    return GroupMember(number, client_id, host, tuple((topic, partition) for topic, partition in partitions))
