"""librdkafka's own broker as one of the demo's services; what it can and cannot do: `kafka_bridge.testing.embedded`."""

from collections.abc import Callable
from pathlib import Path

from devtools.local.supervisor import Command, Supervisor
from kafka_bridge.testing import embedded

NAME = "kafka"
PROJECT = Path(__file__).parents[3]


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
        self._supervisor.start(
            Command(
                name=NAME,
                arguments=list(embedded.command(self._address_file, self._topics)),
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
