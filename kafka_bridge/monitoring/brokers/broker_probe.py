"""Whether a broker answers, at the cost of one small request: no client, no password, no topic.

A broker that is frozen still has its connections accepted, by the kernel. So it is asked which versions of requests it
knows, which it tells to anybody before they sign in: Kafka protocol guide, "ApiVersions" (key 18), version 0.
"""

import socket
import ssl
import struct
import time

from kafka_bridge.runtime import clients

_CORRELATION_ID = 0x626F6F6B
# Its size, API key, API version, correlation id, and no client id.
_REQUEST = struct.pack(">ihhih", 10, 18, 0, _CORRELATION_ID, -1)
_HEAD = struct.Struct(">ii")
"""The size of the answer, and the correlation id again."""
LEAST_SECONDS = 0.2


def ask(*, within_seconds: float) -> None:
    """Return once one of the bootstrap servers has answered.

    Raises:
        OSError: none did in time; the error is that of the last one.
    """
    servers = [server.strip() for server in clients.conf().bootstrap_servers.split(",") if server.strip()]
    failure: OSError = OSError("no bootstrap server is named")
    until = time.monotonic() + within_seconds
    for number, server in enumerate(servers):
        each = (until - time.monotonic()) / (len(servers) - number)
        try:
            _ask(server, max(LEAST_SECONDS, each))
        except OSError as error:
            failure = error
        else:
            return
    raise failure


def _ask(server: str, seconds: float) -> None:
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    with socket.create_connection((host, int(port)), timeout=seconds) as plain, _secured(plain, host) as connection:
        connection.settimeout(seconds)
        connection.sendall(_REQUEST)
        answer = b""
        while len(answer) < _HEAD.size:
            part = connection.recv(_HEAD.size - len(answer))
            if not part:
                raise ConnectionResetError("the broker hung up")
            answer += part
    if _HEAD.unpack(answer)[1] != _CORRELATION_ID:
        raise ConnectionError("what answers there is no broker")


def _secured(connection: socket.socket, host: str) -> socket.socket:
    options = clients.conf()
    if options.security_protocol not in ("SSL", "SASL_SSL"):
        return connection
    context = ssl.create_default_context(cafile=options.ssl_ca_location or None)
    if options.ssl_certificate_location:
        context.load_cert_chain(options.ssl_certificate_location, options.ssl_key_location or None)
    return context.wrap_socket(connection, server_hostname=host)
