"""Daphne with an end to everything: `python -m shop.live.server`, with the options of `daphne`."""

# Note [What a slow client may hold of the sockets' process]
# Nothing here takes a thread, so slow clients stop nobody; but without an end they add up. Daphne has options for
# frames, messages and handshakes, and none for the rest:
# - a connection has some seconds to say what it wants, and no body; after one answer over plain HTTP it is closed;
# - what a client does not read waits in memory (Twisted buffers without limit). Twisted tells whoever registers as the
#   producer when that is more than its buffer size; then nothing more is written, and if the client has not read some
#   seconds later, or there is more to say, its connection is cut;
# - a client that sends more messages than a page does is told so and cut off.

import resource
import sys
import time
from io import BytesIO
from typing import Any

from daphne import cli, http_protocol, server, ws_protocol
from django.conf import settings
from django.utils.module_loading import import_string
from twisted.internet import reactor as _reactor
from twisted.internet import task

from kafka_bridge.monitoring.heartbeats import reporting
from kafka_bridge.telemetry import activity, metrics
from shop.operations.processes import expected

PUSHED = metrics.counter("live_messages_pushed", "Messages that were sent to live pages", by="live")
CUT_OFF = metrics.counter(
    "live_sockets_cut_off", "Sockets that were ended, as their client was too slow or too loud", ["why"], by="live"
)
reactor: Any = _reactor  # what it is depends on the machine
# Codes from 4000 on are for applications (RFC 6455, section 7.4.2); this one is after the status 429.
TOO_MANY_MESSAGES = 4429
REQUEST_SECONDS = 10
BACKLOG = 1024
UNREAD_BYTES_MAX = 32 * 1024
UNREAD_SECONDS = 20
TURN_SECONDS = 1.0


class BoundedRequest(http_protocol.WebRequest):  # type: ignore[misc]  # Daphne has no types
    """One request, without a body."""

    def gotLength(self, length: int | None) -> None:
        """Called when the headers are there; no length is a body in chunks."""
        if length == 0:
            super().gotLength(length)
            return
        self.content = BytesIO()
        self.channel.transport.abortConnection()

    def process(self) -> Any:
        """Called when the request is complete."""
        self.channel.persistent = False
        self.channel.is_asked = True
        # Daphne refuses strange bytes in all that it reads but this, which it would answer with a 500.
        if not all(value.isascii() for value in self.requestHeaders.getRawHeaders(b"Sec-WebSocket-Protocol", ())):
            self.request_start = time.time()
            self.basic_error(400, b"Bad Request", "Invalid Sec-WebSocket-Protocol")
            return None
        return super().process()


class BoundedSocket(ws_protocol.WebSocketProtocol):  # type: ignore[misc]  # Daphne has no types
    """A websocket that ends when its client says more than a page does.

    Counted here, where messages come in: a client that sends thousands at once would keep the application from ever
    getting to its close, and what waits for the application is in memory.
    """

    muted: bool
    maxMessagePayloadSize: int

    def onOpen(self) -> None:
        """Called after the handshake."""
        self._allowance, self._since = float(settings.LIVE_MESSAGES_MAX), time.monotonic()
        super().onOpen()

    def sendMessage(self, payload: bytes, *args: Any, **options: Any) -> None:
        """Called with each message to the client. How long one may be is meant for what clients say."""
        most, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            super().sendMessage(payload, *args, **options)
        finally:
            self.maxMessagePayloadSize = most

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Called with each message."""
        if self.muted:
            return
        now = time.monotonic()
        earned = (now - self._since) * settings.LIVE_MESSAGES_PER_SECOND
        self._allowance, self._since = min(self._allowance + earned, settings.LIVE_MESSAGES_MAX) - 1, now
        if self._allowance >= 0:
            super().onMessage(payload, isBinary)
            return
        self.application_queue.put_nowait({"type": "websocket.disconnect", "code": TOO_MANY_MESSAGES})
        self.muted = True
        CUT_OFF.labels("too many messages").inc()
        self.sendClose(TOO_MANY_MESSAGES, "Too many messages.")
        self.transport.pauseProducing()  # the connection is cut in a second, whether or not the client answers


class BoundedFactory(server.HTTPFactory):  # type: ignore[misc]  # Daphne has no types
    """Connections with some seconds for their request."""

    def buildProtocol(self, addr: Any) -> Any:
        """One more connection."""
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = BoundedRequest
        reactor.callLater(REQUEST_SECONDS, _end_unless_asked, protocol)
        return protocol


class Unread:
    """What one client has not read yet, as a producer of Twisted's; see the note above."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._deadline: Any = None
        transport.bufferSize = UNREAD_BYTES_MAX
        transport.unregisterProducer()  # Daphne's, which is for plain HTTP
        transport.registerProducer(self, True)

    @property
    def is_too_much(self) -> bool:
        """Whether nothing more may be written."""
        return self._deadline is not None

    def pauseProducing(self) -> None:
        """Called by Twisted when there is more than its buffer holds."""
        if self._deadline is None:
            self._deadline = reactor.callLater(UNREAD_SECONDS, self._transport.abortConnection)

    def resumeProducing(self) -> None:
        """Called when the client has read it all."""
        self.stopProducing()

    def stopProducing(self) -> None:
        """Called when the connection is gone."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None


class BoundedServer(server.Server):  # type: ignore[misc]  # Daphne has no types
    """Daphne's server with these bounds."""

    endpoints: list[str]

    def run(self) -> None:
        """Serve. Twisted lets fifty wait to be accepted; when more come at once, the rest try again after a second."""
        self.endpoints = [
            f"{endpoint}:backlog={BACKLOG}" if endpoint.startswith("tcp:") else endpoint for endpoint in self.endpoints
        ]
        reactor.callWhenRunning(_report)
        super().run()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Called for each request and each socket."""
        if scope["type"] == "websocket":
            protocol.unread = Unread(protocol.transport)
        return super().create_application(protocol, scope)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Called with what the application says."""
        unread = getattr(protocol, "unread", None)
        if getattr(protocol, "muted", False):
            return
        if unread is not None and unread.is_too_much:
            CUT_OFF.labels("reads too slowly").inc()
            protocol.transport.abortConnection()
            return
        if message["type"] == "websocket.send":
            PUSHED.inc()
            activity.current.progress()
        await super().handle_reply(protocol, message)


class Cli(cli.CommandLineInterface):  # type: ignore[misc]  # Daphne has no types
    """Daphne's command line."""

    server_class = BoundedServer


def _report() -> None:
    """Say that this process lives, and that its loop goes round."""
    activity.current.say("working", "serves live pages")
    task.LoopingCall(activity.current.turn).start(TURN_SECONDS)
    # They need the apps, which are loaded with the application only.
    import_string("shop.operations.overview.collector.start")()
    import_string("shop.live.operations.page.start")()
    import_string("shop.operations.alerts.watching.stand_by_forever")()
    reactor.addSystemEventTrigger("before", "shutdown", reporting.start(expected.LIVE).stop)


def _end_unless_asked(protocol: Any) -> None:
    channel = getattr(protocol, "_channel", protocol)
    if not getattr(channel, "is_asked", False) and channel.transport is not None:
        channel.transport.abortConnection()


def main(arguments: list[str]) -> None:
    """Serve until told to stop."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Daphne has no other way to choose them.
    server.HTTPFactory = BoundedFactory
    ws_protocol.WebSocketFactory.protocol = BoundedSocket
    Cli().run(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
