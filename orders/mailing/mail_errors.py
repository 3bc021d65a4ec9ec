"""Which errors of sending a mail are over sometime, and which are not."""

import smtplib

_REFUSED_FOR_GOOD = 500
"""Reply codes from here on are permanent (RFC 5321, 4.2.1)."""


def is_permanent(error: Exception) -> bool:
    """Whether the same mail, sent again, is expected to fail again: its address or its contents are refused."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            return all(code >= _REFUSED_FOR_GOOD for code, _ in error.recipients.values())
        case smtplib.SMTPDataError():
            return error.smtp_code >= _REFUSED_FOR_GOOD
        case smtplib.SMTPNotSupportedError():  # an address that needs SMTPUTF8, and a server without it
            return True
        # An address that cannot be encoded, a line break in a header: nothing that any server would see. UnicodeError
        # is a ValueError. A sender that is refused (SMTPSenderRefused) is the shop's own, so a matter of its settings.
        case ValueError():
            return True
        case _:
            return False


def in_words(error: Exception) -> str:
    """What the mail server or the library said, on one line, at most 500 characters."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        said = "; ".join(f"{to}: {code} {_text(reply)}" for to, (code, reply) in error.recipients.items())
    elif isinstance(error, smtplib.SMTPResponseException):
        said = f"{error.smtp_code} {_text(error.smtp_error)}"
    else:
        said = f"{type(error).__name__}: {error}"
    return " ".join(said.split())[:500]


def _text(reply: bytes | str) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else reply
