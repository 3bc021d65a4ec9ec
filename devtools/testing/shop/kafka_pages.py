"""A second process of the role live beside a running shop, which serves the window on Kafka as a demo does."""

import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from django.conf import settings

from devtools.local import ports, roles
from devtools.testing.processes import Shop
from kafka_bridge.runtime import waiting

_BOUNDS = (
    "--websocket-max-message-size", roles.FRAME_LIMIT_BYTES, "--websocket-max-frame-size", roles.FRAME_LIMIT_BYTES,
)  # fmt: skip
_ROW = re.compile(r"<tr data-key=[^>]*>(.*?)</tr>", re.DOTALL)
_CELL = re.compile(r"<td>(.*?)</td>", re.DOTALL)


class KafkaPages:
    """The process; `url` is its origin."""

    def __init__(self, shop: Shop, log: Path) -> None:
        self.port = ports.pick_neighbours()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [
            sys.executable,
            "-m",
            "shop.live.server",
            "-b",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-v",
            "0",
            *_BOUNDS,
        ]
        demo = {"SHOW_DEMO_HINTS": "true", "KAFKA_PRACTICE": "true", "LIVE_PORT": "0", "BOOKRUSH_ROLE": "live"}
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own command line
                [*command, "shop.asgi:application"], cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, env=shop.environment_of_commands(**demo),
            )  # fmt: skip
        waiting.until(lambda: roles.answers(f"{self.url}/healthz"), what="the window", timeout_seconds=180)

    def get(self, path: str) -> str:
        """A page, without JavaScript."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}{path}", timeout=60) as answer:
            found: bytes = answer.read()
        return found.decode()

    def partitions(self) -> dict[tuple[str, str, int], dict[str, str]]:
        """By group, topic and partition, what the tables say: end, committed, lag and owner, as text."""
        rows = [_CELL.findall(row) for row in _ROW.findall(self.get("/kafka/?as=table"))]
        return {
            (group, topic, int(partition)): {"end": end, "committed": committed, "lag": lag, "owner": owner}
            for topic, partition, _, _, end, group, committed, lag, owner in (row for row in rows if len(row) == 9)
        }

    def cpu_seconds(self) -> float:
        """What the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait(30)
