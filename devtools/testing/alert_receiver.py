"""Alertmanager with the configuration that is deployed, and somebody who hears what it delivers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from devtools.local import ports, prometheus, roles
from devtools.local.roles import PROJECT
from devtools.local.supervisor import Command, Supervisor

DEPLOYED = PROJECT / "deploy" / "alertmanager" / "alertmanager.yml"


class Receiver:
    """What was delivered."""

    def __init__(self) -> None:
        self.address = ""
        """Alertmanager's own host and port."""
        self.delivered: list[dict[str, Any]] = []

    def heard(self, name: str, status: str, **labels: str) -> list[dict[str, Any]]:
        """Alerts of this name that came as `firing` or `resolved`."""
        return [
            alert
            for message in list(self.delivered)
            for alert in message["alerts"]
            if alert["status"] == status and alert["labels"].items() >= {"alertname": name, **labels}.items()
        ]


@contextmanager
def alertmanager(supervisor: Supervisor, folder: Path) -> Iterator[Receiver]:
    """Run it until the block is left."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.delivered.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    [port] = ports.pick(1)
    receiver.address = f"127.0.0.1:{port}"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "alertmanager.yml"
    config.write_text(json.dumps(_hastened(f"http://127.0.0.1:{server.server_port}/")))
    arguments = [
        prometheus.binary(prometheus.ALERTMANAGER) or "alertmanager",
        f"--config.file={config}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={receiver.address}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    try:
        supervisor.start(Command(name=prometheus.ALERTMANAGER, arguments=arguments))
        supervisor.wait_ready(prometheus.ALERTMANAGER, lambda: roles.answers(f"http://{receiver.address}/-/ready"))
        yield receiver
    finally:
        supervisor.stop(prometheus.ALERTMANAGER)
        server.shutdown()
        server.server_close()


def _hastened(url: str) -> dict[str, Any]:
    """As it is deployed, but that pages come to us, and at once."""
    config: dict[str, Any] = yaml.safe_load(DEPLOYED.read_text())
    config["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    page = next(receiver for receiver in config["receivers"] if receiver["name"] == config["route"]["receiver"])
    page["webhook_configs"] = [{"url": url, "send_resolved": True}]
    return config
