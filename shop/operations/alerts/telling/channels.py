"""How people are told: mail, a signed webhook, a chat service; and a sign of life for a dead man's switch.

# Note [What a webhook says]
A POST with JSON: `{"id", "kind", "sent_at", "alert": {…}}`. The same id comes again where an answer was lost, and means
the same notice. It is signed like the gateway's webhooks (`payments/gateways/signatures.py`): the header
`Bookrush-Signature: t=<unix seconds>,v1=<hex>` has the HMAC-SHA256 of `<t>.<body>` with ALERT_WEBHOOK_SECRET.

# Note [Where notices go]
Only to addresses from the settings. A redirect is not followed, an answer is read up to a bound of time and size, and
no more is kept of it than its status.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import make_msgid
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage

from payments.gateways import signatures
from payments.gateways.http_pool import HttpPool
from shop.models import AlertNotice

TIMEOUT_SECONDS = 20.0
"""For a whole call; mails have EMAIL_TIMEOUT_SECONDS for each step."""
_TITLES = {"raised": "", "repeated": "Still: ", "cleared": "Over: ", "test": "Test: "}


class NotTold(Exception):
    """A channel did not take a notice; the message says why, without the channel's address."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """One way to tell people."""

    name: str
    send: Callable[[AlertNotice], None]
    """Blocks for some seconds at most. Raises `NotTold`, or an OSError or ValueError."""


def configured() -> list[Channel]:
    """Those that the settings name."""
    known = (
        (bool(settings.ALERT_MAIL_TO), Channel(name="mail", send=_send_mail)),
        (bool(settings.ALERT_WEBHOOK_URL), Channel(name="webhook", send=_send_webhook)),
        (bool(settings.ALERT_CHAT_URL), Channel(name="chat", send=_send_chat)),
    )
    return [channel for is_there, channel in known if is_there]


def say_alive() -> None:
    """Tell the dead man's switch that alerts are evaluated.

    Raises:
        NotTold, OSError, ValueError: it did not take it.
    """
    _call("GET", settings.ALERT_HEARTBEAT_URL, b"", {})


def _send_mail(notice: AlertNotice) -> None:
    alert = notice.contents
    message = EmailMessage(
        subject=f"[{alert['severity']}] {_title(notice)}"[:200],
        body=_text(notice),
        to=settings.ALERT_MAIL_TO,
        # The same each time it is sent: a mail that comes twice can be told.
        headers={"Message-ID": f"<{notice.pk}.{make_msgid(domain='bookrush').partition('@')[2]}"},
    )
    message.send()


def _send_webhook(notice: AlertNotice) -> None:
    body = json.dumps(
        {"id": str(notice.pk), "kind": notice.kind, "sent_at": int(time.time()), "alert": notice.contents}
    ).encode()
    signature = signatures.sign(body, secret=settings.ALERT_WEBHOOK_SECRET, at=int(time.time()))
    _call("POST", settings.ALERT_WEBHOOK_URL, body, {"Bookrush-Signature": signature})


def _send_chat(notice: AlertNotice) -> None:
    _call("POST", settings.ALERT_CHAT_URL, json.dumps({"text": _text(notice)}).encode(), {})


def _call(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """See Note [Where notices go]."""
    there = urlsplit(url)
    pool = HttpPool(url, timeout_seconds=TIMEOUT_SECONDS, keep=1)
    try:
        reply = pool.call(
            method,
            f"?{there.query}" if there.query else "",
            body=body,
            headers={"Content-Type": "application/json", "User-Agent": "Bookrush", "Connection": "close", **headers},
        )
    finally:
        pool.close()
    if not 200 <= reply.status < 300:
        raise NotTold(f"the answer was {reply.status}")


def _title(notice: AlertNotice) -> str:
    return f"{_TITLES[notice.kind]}{notice.contents['message']}"


def _text(notice: AlertNotice) -> str:
    alert: Mapping[str, Any] = notice.contents
    lines = [_title(notice), "", f"{alert['severity']}, since {alert['since']} ({alert['name']})"]
    if notice.kind == "cleared":
        lines[-1] = f"It was so from {alert['since']} to {alert['cleared_at']} ({alert['name']})."
    else:
        lines += [alert["advice"]]
    return "\n".join([*lines, alert["url"]]).strip() + "\n"
