"""What a stranger can write into the log; and the log as JSON, a line for each record."""

import logging
from datetime import UTC, datetime

import msgspec
from django.conf import settings

from kafka_bridge.telemetry import activity, log_context

LENGTH_MAX = 200
_NAMES = {"key": "order"}
"""What ids are called here; see `log_context`."""


class StrangersInOneLine(logging.Filter):
    """Cuts what Django says of a suspicious request to one short line, without the traceback.

    A foreign Host, or too many fields, is the sender's fault and says nothing of the code; anybody can send a million.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass, these shortened."""
        if record.name.startswith("django.security"):
            message = record.getMessage()
            short = f"{message[:LENGTH_MAX]}…" if len(message) > LENGTH_MAX else message
            # One line, whatever the sender wrote.
            record.msg, record.args = ascii(short)[1:-1], ()
            record.exc_info = record.exc_text = None
        return True


class JsonLines(logging.Formatter):
    """One object a line: time, level, logger, message, role, instance; with what is under way, and a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "role": activity.current.role or settings.ROLE,
            "instance": activity.current.instance or f"pid-{record.process}",
            **{_NAMES.get(name, name): value for name, value in log_context.fields().items() if value},
        }
        if record.exc_info or record.exc_text:
            line["traceback"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]  # one of both is there
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return msgspec.json.encode(line).decode()
