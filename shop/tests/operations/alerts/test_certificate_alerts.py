"""A certificate that ends soon is told of, as a listener with TLS shows it, and so is its renewal."""

import dataclasses
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devtools.testing import http_receiver
from devtools.testing.shop.mail_server import MailServer
from kafka_bridge.monitoring.brokers.broker_certificates import CertificateReader
from kafka_bridge.monitoring.cluster_figures import BrokerFigures, KafkaFigures
from kafka_bridge.runtime import waiting
from shop.operations.alerts.board import Board
from shop.operations.alerts.telling.sending import Senders
from shop.operations.overview import collector
from shop.operations.overview.figures import Seen
from shop.tests.operations.alerts.test_alerts_of_a_running_shop import ON_CALL, SECRET, Watched

pytestmark = pytest.mark.operations


class Listener:
    """Shows a certificate to whoever connects, as a broker does."""

    def __init__(self, folder: Path, server: socket.socket) -> None:
        self._folder, self._server = folder, server
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.address = f"127.0.0.1:{server.getsockname()[1]}"
        self.authority = folder / "authority.pem"
        self.renew(days=5)
        threading.Thread(target=self._serve, daemon=True).start()

    def renew(self, *, days: int) -> None:
        """From now on it shows another one."""
        key, certificate = self._folder / "key.pem", self._folder / "certificate.pem"
        subprocess.run(  # noqa: S603 - our own command line
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days), "-subj", "/CN=of-a-test",  # noqa: S607
             "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        self._context.load_cert_chain(certificate, key)
        shutil.copy(certificate, self.authority)

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._server.accept()
                with connection, suppress(OSError):
                    self._context.wrap_socket(connection, server_side=True).close()


@pytest.mark.django_db(transaction=True)
def test_a_certificate_that_ends_soon_is_told_once_and_that_it_is_renewed_once(
    mail_server: MailServer, settings: Any, tmp_path: Path
) -> None:
    board = Board(goes_on_without_database=False)
    senders, alert = Senders(board), ("kafka_certificate", "1")

    def look() -> None:
        reader = CertificateReader()
        reader.look([listener.address])
        broker = BrokerFigures(
            id=1, address=listener.address, is_up=True, is_controller=True, leads=0,
            certificate_ends_at=reader.ends_at(listener.address),
        )  # fmt: skip
        kafka = KafkaFigures(cluster_id="of a test", brokers=(broker,), topics=(), groups=(), answer_seconds=0.0)
        board.evaluate(dataclasses.replace(collector.overview(), kafka=Seen(value=kafka, at=datetime.now(UTC))))
        senders.wake(ask_database=True)

    with socket.create_server(("127.0.0.1", 0)) as server, http_receiver.receiving() as hook:
        listener = Listener(tmp_path, server)
        settings.KAFKA_BRIDGE = dataclasses.replace(
            settings.KAFKA_BRIDGE, security_protocol="SSL", ssl_ca_location=str(listener.authority)
        )
        settings.ALERT_MAIL_TO = [ON_CALL]
        settings.ALERT_WEBHOOK_URL, settings.ALERT_WEBHOOK_SECRET = f"{hook.url}/hook", SECRET
        told = Watched(None, hook, mail_server)  # type: ignore[arg-type]  # counts only

        def is_told(kind: str) -> bool:
            look()
            return (*alert, kind) in told.told() and told.mailed() == told.told().total()

        waiting.until(lambda: is_told("raised"), what="it is told", timeout_seconds=60)
        listener.renew(days=100)
        waiting.until(lambda: is_told("cleared"), what="its renewal is told", timeout_seconds=60)
        assert told.told() == {(*alert, "raised"): 1, (*alert, "cleared"): 1}
