"""Sockets that listen to a waiting room, as open pages do: `python -m shop.simulation.queueing.listening URL COUNT`.

A process of its own, so that what is measured is when a message came, and not when a busy simulation had time for it.
RFC 6455, as much of it as that takes. On standard output: a line for each state that was new, with the time in seconds
since 1970 before it, and `over` with the time for each socket that heard of the end. It ends with its standard input.
"""

import asyncio
import base64
import contextlib
import os
import resource
import ssl
import struct
import sys
import time
from urllib.parse import urlsplit

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_FINAL, _MASKED = 0x80, 0x80
_OPEN_AT_ONCE = 50
_AGAIN_AFTER_SECONDS = 1.0
_HANDSHAKE_SECONDS = 30.0


class Listening:
    """So many sockets on one address."""

    def __init__(self, url: str, count: int) -> None:
        self._url = urlsplit(url)
        self._count = count
        self._last = b""
        self._over: set[int] = set()
        self._gate = asyncio.Semaphore(_OPEN_AT_ONCE)

    async def run(self) -> None:
        """Listen until there is no more standard input."""
        tasks = [asyncio.create_task(self._keep(number)) for number in range(self._count)]
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
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
        if number not in self._over and b'"phase":"over"' in payload:
            self._over.add(number)
            sys.stdout.write(f"{now:.6f} over\n")
        if payload != self._last and payload.startswith(b'{"type":"room"'):
            self._last = payload
            sys.stdout.write(f"{now:.6f} {payload.decode()}\n")
        sys.stdout.flush()


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


async def _main(url: str, count: int) -> None:
    await Listening(url, count).run()


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
