"""Sockets that listen to a waiting room, as open pages do: RFC 6455, as much of it as that takes."""

import asyncio
import base64
import contextlib
import os
import ssl
import struct
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from shop.waiting_room.feeds import RoomState

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_FINAL, _MASKED = 0x80, 0x80
_OPEN_AT_ONCE = 50
_AGAIN_AFTER_SECONDS = 1.0
_HANDSHAKE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What the first socket to hear it heard, and when, in seconds since 1970."""

    at: float
    state: RoomState


class Listeners:
    """So many sockets on one address, in a thread of their own. Threads only append, which needs no lock."""

    def __init__(self, url: str, count: int) -> None:
        self.heard: list[Heard] = []
        self.over_at: dict[int, float] = {}
        """By socket, when it heard that the last copy is sold."""
        self.opened = 0
        self._url = urlsplit(url)
        self._count = count
        self._last = b""
        self._stop = threading.Event()
        self._gate: asyncio.Semaphore
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="listeners", daemon=True)

    def start(self) -> None:
        """Open the sockets."""
        self._thread.start()

    def stop(self) -> None:
        """Close them."""
        self._stop.set()
        self._thread.join(10)

    async def _run(self) -> None:
        self._gate = asyncio.Semaphore(_OPEN_AT_ONCE)
        tasks = [asyncio.create_task(self._keep(number)) for number in range(self._count)]
        while not self._stop.is_set():
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, number: int) -> None:
        """A socket that comes back when it is cut off, as a page's does."""
        while True:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                await self._listen(number)
            await asyncio.sleep(_AGAIN_AFTER_SECONDS)

    async def _listen(self, number: int) -> None:
        async with self._gate, asyncio.timeout(_HANDSHAKE_SECONDS):
            reader, writer = await self._connect()
        self.opened += 1
        try:
            while (frame := await _frame(reader))[0] != _CLOSE:
                kind, payload = frame
                if kind == _PING:
                    writer.write(_masked(_PONG, payload))
                elif payload == b'{"type":"ping"}':
                    writer.write(_masked(_TEXT, b'{"type":"pong"}'))
                elif kind == _TEXT:
                    self._hear(number, payload)
        finally:
            self.opened -= 1
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        secure = ssl.create_default_context() if self._url.scheme == "wss" else None
        port = self._url.port or (443 if secure else 80)
        reader, writer = await asyncio.open_connection(self._url.hostname, port, ssl=secure)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET {self._url.path} HTTP/1.1\r\nHost: {self._url.netloc}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in answer.partition(b"\r\n")[0]:
            writer.close()
            raise EOFError(answer.partition(b"\r\n")[0].decode(errors="replace"))
        return reader, writer

    def _hear(self, number: int, payload: bytes) -> None:
        now = time.time()
        if b'"phase":"over"' in payload:
            self.over_at.setdefault(number, now)
        if payload == self._last or not payload.startswith(b'{"type":"room"'):
            return
        state = msgspec.json.decode(payload, type=RoomState)
        if not self.heard or state.served >= self.heard[-1].state.served:
            self._last = payload
            self.heard.append(Heard(now, state))


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The opcode and the payload of the next frame; a server sends whole ones, unmasked."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
    elif length == 127:
        (length,) = struct.unpack(">Q", await reader.readexactly(8))
    return first & 0x0F, await reader.readexactly(length)


def _masked(opcode: int, payload: bytes) -> bytes:
    """A short frame of a client."""
    mask = os.urandom(4)
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([_FINAL | opcode, _MASKED | len(payload)]) + mask + body
