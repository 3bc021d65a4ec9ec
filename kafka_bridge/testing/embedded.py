"""librdkafka's own broker in a process of its own: the Kafka protocol without Java, kept in memory.

librdkafka ships a broker for its tests (`rd_kafka_mock_cluster_new`), and so does confluent-kafka's wheel. What was
found by trying it (librdkafka 2.16), because it shapes what can be tried on it:

- Works: idempotent producers, lz4, keys and headers, fetch, ListOffsets, classic consumer groups with range or
  cooperative-sticky, committed offsets (also by the Admin API when partitions are named), several groups on a topic.
- CreateTopics, DescribeConfigs and DescribeGroups do not exist. Topics are made at the start, through the C function;
  an unknown topic is made with four partitions as soon as a producer asks for it.
- A partition keeps 5 MiB or 100,000 batches at most and drops the oldest beyond that: a group that is down during a big
  burst can miss events. They stay in the outbox (`outbox.republish_unheard`).
- Groups: a first member gets its partitions at once. After that every join waits for `session.timeout.ms` minus one
  second (of the last member that joined), and requests to the coordinator wait behind it. So consumers use a short
  session timeout here, and a group is best left with one member.
- Everything is gone when the process ends, and the port is another one every time.
"""

import argparse
import ctypes
import glob
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import confluent_kafka

START_SECONDS = 30.0
UNTIL_EOF = "--until-eof"


class NoEmbeddedBroker(Exception):
    """librdkafka's broker cannot be run here; the message says why."""


class EmbeddedBroker:
    """The broker as a child process, which ends with this one; a context manager."""

    def __init__(self, topics: Mapping[str, int] | None = None) -> None:
        """`topics` are names and numbers of partitions; others are made, with four, when a producer asks for them."""
        self.bootstrap_servers = ""
        self._topics = dict(topics or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it and wait for its address.

        Raises:
            NoEmbeddedBroker: it ended, or did not say its address in time.
        """
        with TemporaryDirectory(prefix="kafka-bridge-") as folder:
            address = Path(folder) / "address"
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                command(address, self._topics, until_eof=True), stdin=subprocess.PIPE
            )
            deadline = time.monotonic() + START_SECONDS
            while not address.exists():
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise NoEmbeddedBroker("librdkafka's broker did not start; what it said is above")
                time.sleep(0.02)
            self.bootstrap_servers = address.read_text()
        return self

    def stop(self) -> None:
        """End it; what lay in its topics is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(10)
            if process.stdin is not None:
                process.stdin.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def command(address_file: Path, topics: Mapping[str, int], *, until_eof: bool = False) -> list[str]:
    """The command line of a broker that writes its address into that file; `until_eof` ends it with its input."""
    pairs = [f"{name}={partitions}" for name, partitions in topics.items()]
    return [sys.executable, "-m", __name__, *([UNTIL_EOF] if until_eof else []), str(address_file), *pairs]


def serve(address_file: Path, topics: dict[str, int]) -> None:
    """Run the broker in this process until SIGTERM; its address goes into the file.

    Raises:
        NoEmbeddedBroker: librdkafka refused.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    library = load_library()
    error = ctypes.create_string_buffer(512)
    config = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(config, b"log_level", b"3", error, len(error))
    handle = library.rd_kafka_new(0, config, error, len(error))
    cluster = handle and library.rd_kafka_mock_cluster_new(handle, 1)
    if not cluster:
        raise NoEmbeddedBroker(f"librdkafka could not start its broker: {error.value.decode()}")
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
    library.rd_kafka_mock_set_controller_id(cluster, 1)
    for name, partitions in topics.items():
        if code := library.rd_kafka_mock_topic_create(cluster, name.encode(), partitions, 1):
            raise NoEmbeddedBroker(f"librdkafka's broker did not take the topic {name} (error {code})")
    draft = address_file.with_suffix(".new")
    draft.write_bytes(library.rd_kafka_mock_cluster_bootstraps(cluster))
    draft.replace(address_file)  # at once: nobody must read half an address
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    os._exit(0)  # there is nothing to save


def load_library() -> ctypes.CDLL:
    """The wheel's librdkafka, with the types of the functions used here.

    Raises:
        NoEmbeddedBroker: it cannot be found.
    """
    package = Path(confluent_kafka.__file__).parent
    places = (package.parent / "confluent_kafka.libs" / "librdkafka*.so*", package / ".dylibs" / "librdkafka*.dylib")
    found = [path for place in places for path in glob.glob(str(place))]
    if not found:
        raise NoEmbeddedBroker("This platform's confluent-kafka has no librdkafka beside it.")
    library, pointer, text, integer = ctypes.CDLL(found[0]), ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[object, list[object]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (integer, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [integer, pointer, text, ctypes.c_size_t]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, integer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (integer, [pointer, text, integer, integer]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_set_controller_id": (None, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def main() -> None:
    """`python -m kafka_bridge.testing.embedded ADDRESS_FILE NAME=PARTITIONS …`, until SIGTERM."""
    parser = argparse.ArgumentParser(prog="kafka_bridge.testing.embedded", description=main.__doc__)
    parser.add_argument(UNTIL_EOF, action="store_true", help="end, too, when standard input does")
    parser.add_argument("address_file", type=Path)
    parser.add_argument("topics", nargs="*", metavar="NAME=PARTITIONS")
    arguments = parser.parse_args()
    if arguments.until_eof:
        threading.Thread(target=_end_with_input, daemon=True).start()
    pairs = (topic.rsplit("=", 1) for topic in arguments.topics)
    serve(arguments.address_file, {name: int(partitions) for name, partitions in pairs})


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
