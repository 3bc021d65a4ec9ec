"""Brings spans to an OTLP back end; imported only where traces are wanted, for it needs OpenTelemetry (extra `traces`).

Where to, how often and how many at most is told by OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_…`,
`OTEL_BSP_…`, `OTEL_RESOURCE_ATTRIBUTES`). Spans wait in a bounded queue for a thread of their own: while the back end
is away or slow they are dropped, and nobody waits for it.
"""

import atexit
import contextlib
import os
import socket
import threading

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from kafka_bridge.runtime import conf
from kafka_bridge.telemetry.tracing import Span

# A role that is told to end has five seconds, and more to do in them than this.
_LAST_WORDS_SECONDS = 1.5
_NANOSECONDS = 1_000_000_000
_SCOPE = InstrumentationScope("kafka_bridge")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def _resource() -> Resource:
    options = conf.current()
    return Resource.create(
        {
            "service.namespace": options.namespace,
            "service.name": options.client_id,
            "service.version": options.version,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
    )


_resource_of_process = _resource()
_making = threading.Lock()
_processor: BatchSpanProcessor | None = None


def _queue() -> BatchSpanProcessor:
    """Made with the first span and not at import, for it has a thread, which no fork takes along."""
    global _processor
    with _making:
        if _processor is None:
            _processor = BatchSpanProcessor(OTLPSpanExporter())
            atexit.register(_end, _processor)
        return _processor


def _end(processor: BatchSpanProcessor) -> None:
    """What has not left goes now, but nobody waits long for that, as the exporter itself would."""
    with contextlib.suppress(RuntimeError):  # newer Pythons may refuse a thread so late
        last = threading.Thread(target=processor.force_flush, daemon=True)
        last.start()
        last.join(_LAST_WORDS_SECONDS)


def export(span: Span) -> None:
    """Put it into the queue, or drop it where that is full."""
    trace_id = span.story.int
    _queue().on_end(
        ReadableSpan(
            span.name,
            context=SpanContext(trace_id, span.id, is_remote=False, trace_flags=_SAMPLED),
            parent=SpanContext(trace_id, span.parent, is_remote=True, trace_flags=_SAMPLED) if span.parent else None,
            resource=_resource_of_process,
            attributes={**span.attributes, **({"error.type": span.error} if span.error else {})},
            links=_links(span.link),
            kind=SpanKind[span.kind],
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
            start_time=int(span.began * _NANOSECONDS),
            end_time=int(span.ended * _NANOSECONDS),
            instrumentation_scope=_SCOPE,
        )
    )


def _links(traceparent: str) -> list[Link]:
    if not traceparent:
        return []
    _, trace_id, span_id, flags = traceparent.split("-")
    return [
        Link(SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))))
    ]
