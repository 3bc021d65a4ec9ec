"""Shows a process's metrics to Prometheus, on a port of its own: loopback, or a network that only ours are in."""

import logging
import threading
from http.server import HTTPServer
from socket import SHUT_RDWR, socket
from typing import Any

from prometheus_client import MetricsHandler

from kafka_bridge.telemetry import metrics

log = logging.getLogger(__name__)
# Whoever asks for metrics has sent his request, and read the answer, by then. One at a time: nobody else is to ask.
SECONDS = 5.0


class _Handler(MetricsHandler):
    registry: Any = metrics.Prefixed()
    timeout = SECONDS

    def handle(self) -> None:
        """One connection, with an end however slowly it comes in."""
        end = threading.Timer(SECONDS, _cut_off, [self.connection])
        end.daemon = True
        end.start()
        try:
            super().handle()
        except OSError:
            log.debug("a connection to the metrics was cut off")
        finally:
            end.cancel()


def start(host: str, port: int) -> str:
    """Serve in a thread of its own, for as long as the process lives; returns the URL, empty where port is 0.

    A port that is taken is logged, and no reason to end: the process has other work.
    """
    if not port:
        return ""
    try:
        server = HTTPServer((host, port), _Handler)
    except OSError as error:
        log.error("metrics are not shown: port %d of %s: %s", port, host, error.strerror)
        return ""
    # It looks so seldom whether it is to end, which nobody asks of it.
    serving = {"poll_interval": 3600}
    threading.Thread(target=server.serve_forever, kwargs=serving, name="metrics", daemon=True).start()
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{server.server_port}/metrics"


def _cut_off(connection: socket) -> None:
    try:
        connection.shutdown(SHUT_RDWR)
    except OSError:
        log.debug("the connection was gone")
