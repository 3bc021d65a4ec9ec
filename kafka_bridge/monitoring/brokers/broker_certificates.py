"""When the certificates end that brokers show to their clients, asked for once an hour."""

import socket
import ssl
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

from kafka_bridge.monitoring.brokers.questions import Questions
from kafka_bridge.runtime import conf

ANSWER_SECONDS = 2.0
EVERY_SECONDS = 3600.0
AGAIN_SECONDS = 60.0
"""After a try that failed."""
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL: one that has ended is to be told too, not refused."""


class CertificateReader:
    """Remembers what each broker has shown last."""

    def __init__(self) -> None:
        self._questions: Questions[str, datetime] = Questions("the certificate")
        self._ends: dict[str, datetime] = {}
        self._next: dict[str, float] = {}

    def look(self, addresses: Iterable[str]) -> None:
        """Ask those at `host:port` whose turn it is; nobody where the cluster is used without TLS.

        Blocks for `ANSWER_SECONDS` at the most, once an hour.
        """
        if conf.current().security_protocol not in ("SSL", "SASL_SSL"):
            return
        now = time.monotonic()
        if due := [address for address in addresses if self._next.get(address, 0.0) <= now]:
            self._ask(due, now)

    def ends_at(self, address: str) -> datetime | None:
        """What the broker there has shown last; None unless it has."""
        return self._ends.get(address)

    def _ask(self, due: list[str], now: float) -> None:
        self._questions.ask({address: partial(read_end, address) for address in due})
        found = self._questions.answers(until=now + ANSWER_SECONDS)
        self._ends |= found
        self._next |= {address: now + (EVERY_SECONDS if address in found else AGAIN_SECONDS) for address in due}


def read_end(address: str) -> datetime:
    """When the certificate ends that a broker shows at `host:port`; the authority must be the one that clients trust.

    Raises:
        OSError: it does not answer, or shows none of this authority's.
    """
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS) as connection,
        _context().wrap_socket(connection, server_hostname=host.strip("[]")) as secured,
    ):
        shown = secured.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)


def _context() -> ssl.SSLContext:
    options = conf.current()
    context = ssl.create_default_context(cafile=options.ssl_ca_location or None)
    # Clients check the name; here only the date is wanted.
    context.check_hostname = False
    context.verify_flags |= _NO_CHECK_TIME
    if options.ssl_certificate_location:
        context.load_cert_chain(options.ssl_certificate_location, options.ssl_key_location or None)
    return context
