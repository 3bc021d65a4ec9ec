"""librdkafka's own broker in a process of its own: the Kafka protocol without Java, kept in memory.

librdkafka ships a broker for its tests (`rd_kafka_mock_cluster_new`), and so does confluent-kafka's wheel. What was
found by trying it (librdkafka 2.16), because it shapes how the demo uses it:

- Works: idempotent producers, lz4, keys and headers, fetch, ListOffsets, classic consumer groups with range or
  cooperative-sticky, committed offsets (also by the Admin API when partitions are named), several groups on a topic.
- CreateTopics, DescribeConfigs and DescribeGroups do not exist. Topics are made here, through the C function; an
  unknown topic is made with four partitions as soon as a producer asks for it.
- A partition keeps 5 MiB or 100,000 batches at most and drops the oldest beyond that: a group that is down during a big
  burst can miss events. They stay in the outbox, and a restart of the demo publishes what was not heard.
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
import sys
from collections.abc import Callable
from pathlib import Path

import confluent_kafka

from devtools.local.errors import LocalError
from devtools.local.supervisor import Command, Supervisor

NAME = "kafka"
PROJECT = Path(__file__).parents[2]


class EmbeddedKafka:
    """The broker as a child process."""

    def __init__(self, supervisor: Supervisor, *, address_file: Path, topics: dict[str, int]) -> None:
        """`topics` are their names and numbers of partitions.

        `on_end` is called when the broker ends unexpectedly: all clients need the address of the new one.
        """
        self.on_end: Callable[[], None] | None = None
        self._address_file = address_file
        self._topics = topics
        self._supervisor = supervisor

    def start(self) -> None:
        """`launch`; there is no second half to wait for."""
        self.launch()

    def wait_ready(self) -> None:
        """It serves as soon as its address is known, that is, after `launch`."""

    def launch(self) -> None:
        """Start the broker and wait for its address.

        Raises:
            LocalError: this platform's wheel has no such broker.
            Stopped: told to stop meanwhile.
        """
        self._address_file.unlink(missing_ok=True)
        topics = [f"{name}={partitions}" for name, partitions in self._topics.items()]
        self._supervisor.start(
            Command(
                name=NAME,
                arguments=[sys.executable, "-m", __name__, str(self._address_file), *topics],
                folder=PROJECT,
            ),
            on_end=self.on_end,
        )
        self._supervisor.wait_ready(NAME, self._address_file.exists)

    def stop(self) -> None:
        """End the broker; its events are gone."""
        self._supervisor.stop(NAME)

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`."""
        return self._address_file.read_text()


def serve(address_file: Path, topics: dict[str, int]) -> None:
    """Run the broker in this process until SIGTERM; its address goes into the file.

    Raises:
        LocalError: librdkafka refused.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    library = _library()
    error = ctypes.create_string_buffer(512)
    config = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(config, b"log_level", b"3", error, len(error))
    handle = library.rd_kafka_new(0, config, error, len(error))
    cluster = handle and library.rd_kafka_mock_cluster_new(handle, 1)
    if not cluster:
        raise LocalError(f"librdkafka could not start its broker: {error.value.decode()}")
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
    library.rd_kafka_mock_set_controller_id(cluster, 1)
    for name, partitions in topics.items():
        if code := library.rd_kafka_mock_topic_create(cluster, name.encode(), partitions, 1):
            raise LocalError(f"librdkafka's broker did not take the topic {name} (error {code})")
    draft = address_file.with_suffix(".new")
    draft.write_bytes(library.rd_kafka_mock_cluster_bootstraps(cluster))
    draft.replace(address_file)  # at once: nobody must read half an address
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    os._exit(0)  # there is nothing to save


def _library() -> ctypes.CDLL:
    """The wheel's librdkafka, with the types of the functions used here.

    Raises:
        LocalError: it cannot be found.
    """
    package = Path(confluent_kafka.__file__).parent
    places = (package.parent / "confluent_kafka.libs" / "librdkafka*.so*", package / ".dylibs" / "librdkafka*.dylib")
    found = [path for place in places for path in glob.glob(str(place))]
    if not found:
        raise LocalError("This platform's confluent-kafka has no librdkafka beside it: use KAFKA=single (needs Java).")
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
    """`python -m devtools.local.embedded_kafka ADDRESS_FILE NAME=PARTITIONS …`."""
    parser = argparse.ArgumentParser(prog="embedded_kafka", description=main.__doc__)
    parser.add_argument("address_file", type=Path)
    parser.add_argument("topics", nargs="*", metavar="NAME=PARTITIONS")
    arguments = parser.parse_args()
    pairs = (topic.rsplit("=", 1) for topic in arguments.topics)
    serve(arguments.address_file, {name: int(partitions) for name, partitions in pairs})


if __name__ == "__main__":
    main()
