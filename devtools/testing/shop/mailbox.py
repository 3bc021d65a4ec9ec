"""What accounts get by mail, read from a real mail server as its owner would."""

import email
import re
from email import policy
from urllib.parse import urlsplit

from devtools.testing.shop.mail_server import MailServer
from shop.accounts import mails


def letters(server: MailServer, to: str) -> list[str]:
    """What has come to this address, in sequence, once all that is due is sent: subject and text."""
    mails.send_due()
    found = []
    for recipient, text in zip(server.taken, server.texts, strict=True):
        if recipient == to:
            message = email.message_from_bytes(text.encode(), policy=policy.default)
            found.append(f"{message['Subject']}\n{message.get_content()}")
    return found


def link(server: MailServer, to: str, words: str) -> str:
    """The path of the link, with these words in it, in the last mail that has one."""
    for letter in reversed(letters(server, to)):
        if found := re.search(rf"https?://\S*{words}\S*", letter):
            parts = urlsplit(found[0])
            return f"{parts.path}?{parts.query}" if parts.query else parts.path
    raise AssertionError(f"no link with {words} has come to {to}")
