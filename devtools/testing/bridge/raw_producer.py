"""Messages as a stranger's client may write them: anything that Kafka's protocol takes.

confluent-kafka's producer refuses some of it (names of headers that are no UTF-8, times before 1970), so this one calls
the librdkafka beside it.
"""

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka_bridge.runtime import clients
from kafka_bridge.testing import embedded

_PRODUCER = 0
_COPY = 0x2
_TOPIC, _PARTITION, _VALUE, _KEY, _FLAGS, _TIMESTAMP, _HEADERS = 1, 3, 4, 5, 7, 8, 10
_QUEUE_FULL = -184
_LARGEST_MESSAGE = 120_000_000


@dataclass(frozen=True, kw_only=True)
class RawMessage:
    """A message with nothing added; `topic` without the cluster's prefix."""

    topic: str
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()
    timestamp: int = 0
    """Milliseconds since the epoch; 0 for now."""
    partition: int = -1
    """-1 for the one that follows from the key."""
    compression: str = "none"


class _Memory(ctypes.Structure):
    _fields_ = (("pointer", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Content(ctypes.Union):
    _fields_ = (
        ("text", ctypes.c_char_p),
        ("integer", ctypes.c_int32),
        ("long", ctypes.c_int64),
        ("memory", _Memory),
        ("headers", ctypes.c_void_p),
        ("padding", ctypes.c_char * 64),
    )


class _Argument(ctypes.Structure):
    """`rd_kafka_vu_t`."""

    _fields_ = (("kind", ctypes.c_int), ("content", _Content))


class _Report(ctypes.Structure):
    """The beginning of `rd_kafka_message_t`."""

    _fields_ = (("error", ctypes.c_int),)


_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_Report), ctypes.c_void_p)


class RawProducer:
    """Writes whatever it is given; see `produce`. Make it with `raw_producer`."""

    def __init__(self, library: Any, compression: str) -> None:
        self.refused: list[str] = []
        """Names of the errors of those that the brokers, or librdkafka, did not take."""
        self._library = library
        # Kept: the library holds only its address.
        self._callback = _Callback(self._report)
        config, error = library.rd_kafka_conf_new(), ctypes.create_string_buffer(512)
        options = {
            "bootstrap.servers": clients.conf().bootstrap_servers,
            "compression.type": compression,
            "message.max.bytes": str(_LARGEST_MESSAGE),
            "batch.size": "1",
            "queue.buffering.max.kbytes": "1000000",
            "log_level": "0",
        }
        for name, value in options.items():
            assert library.rd_kafka_conf_set(config, name.encode(), value.encode(), error, 512) == 0, error.value
        library.rd_kafka_conf_set_dr_msg_cb(config, self._callback)
        self._handle = library.rd_kafka_new(_PRODUCER, config, error, 512)
        assert self._handle, error.value

    def produce(self, message: RawMessage) -> None:
        """Take it in; what becomes of it is known after `flush`."""
        name = clients.topic_name(message.topic).encode()
        arguments = [
            _argument(_TOPIC, text=name),
            _argument(_PARTITION, integer=message.partition),
            _argument(_FLAGS, integer=_COPY),
            _argument(_TIMESTAMP, long=message.timestamp),
            _argument(_HEADERS, headers=self._headers(message.headers)),
        ]
        for kind, content in ((_KEY, message.key), (_VALUE, message.value)):
            if content is not None:
                buffer = ctypes.create_string_buffer(content, len(content) or 1)
                arguments.append(_argument(kind, memory=_Memory(ctypes.addressof(buffer), len(content)), keep=buffer))
        array = (_Argument * len(arguments))(*(argument for argument, _ in arguments))
        error = self._library.rd_kafka_produceva(self._handle, array, len(arguments))
        if error:
            self.refused.append(self._library.rd_kafka_error_name(error).decode())
            self._library.rd_kafka_error_destroy(error)

    def flush(self) -> None:
        """Wait until the brokers have said what they took."""
        assert self._library.rd_kafka_flush(self._handle, 30_000) == 0

    def close(self) -> None:
        """Give everything back."""
        self._library.rd_kafka_destroy(self._handle)

    def _headers(self, pairs: Iterable[tuple[bytes, bytes | None]]) -> int:
        headers: int = self._library.rd_kafka_headers_new(8)
        for name, value in pairs:
            size = 0 if value is None else len(value)
            self._library.rd_kafka_header_add(headers, name, len(name), value, size)
        return headers

    def _report(self, _: Any, report: Any, __: Any) -> None:
        if report.contents.error:
            self.refused.append(self._library.rd_kafka_err2name(report.contents.error).decode())


def _argument(kind: int, *, keep: object = None, **content: Any) -> tuple[_Argument, object]:
    return _Argument(kind, _Content(**content)), keep


@contextmanager
def raw_producer(compression: str = "none") -> Iterator[RawProducer]:
    """A producer of the test's brokers; what it was given is flushed at the end."""
    producer = RawProducer(_library(), compression)
    try:
        yield producer
        producer.flush()
    finally:
        producer.close()


def put_raw(messages: Sequence[RawMessage]) -> list[str]:
    """Write these messages; returns the errors of those that were not taken."""
    refused: list[str] = []
    for compression in dict.fromkeys(message.compression for message in messages):
        with raw_producer(compression) as producer:
            for message in messages:
                if message.compression == compression:
                    producer.produce(message)
        refused += producer.refused
    return refused


def _library() -> Any:
    library, pointer, text, integer = embedded.load_library(), ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    size = ctypes.c_size_t
    signatures: dict[str, tuple[object, list[object]]] = {
        "rd_kafka_conf_set_dr_msg_cb": (None, [pointer, _Callback]),
        "rd_kafka_produceva": (pointer, [pointer, pointer, size]),
        "rd_kafka_error_name": (text, [pointer]),
        "rd_kafka_error_destroy": (None, [pointer]),
        "rd_kafka_err2name": (text, [integer]),
        "rd_kafka_headers_new": (pointer, [size]),
        "rd_kafka_header_add": (integer, [pointer, text, ctypes.c_ssize_t, text, ctypes.c_ssize_t]),
        "rd_kafka_flush": (integer, [pointer, integer]),
        "rd_kafka_destroy": (None, [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
