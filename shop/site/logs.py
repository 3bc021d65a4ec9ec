"""What a stranger can write into the log."""

import logging

LENGTH_MAX = 200


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
