"""The bank's pages, HTML without any script: where a buyer confirms a payment or refuses it (3-D Secure)."""

import base64
import hashlib
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from werkzeug.utils import redirect
from werkzeug.wrappers import Response

import money
from payments.gateways import PaymentStatus
from payments.sandbox import cards
from payments.sandbox.books import Payment

_PAGE = Template((Path(__file__).parent / "page.html").read_text())
_STYLE = (Path(__file__).parent / "page.css").read_text().strip()
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
CONFIRM, REFUSE = "confirm", "refuse"
_ENDED = {
    PaymentStatus.VOIDED: ("This payment was called off", "The shop does not wait for it any more. Nothing was taken."),
    PaymentStatus.DECLINED: ("This payment was refused", "Nothing was taken."),
}


def front() -> Response:
    """What this is, for people who find it."""
    return _html(
        "This is the sandbox's bank",
        "<p>The shop's test cards are its cards. It keeps books of its own, and shows a page of these to buyers whose "
        "card asks them to confirm.</p><p>There is nothing else to see here.</p>",
    )


def page(payment: Payment) -> Response:
    """What the buyer sees: the question, or what has become of it."""
    if payment.standing == PaymentStatus.ACTION:
        return _html("Confirm this payment", _question(payment))
    title, text = _ENDED.get(payment.standing, ("This payment is confirmed", "There is nothing more to do here."))
    return _html(title, f"<p>{text}</p>{_way_back(payment)}")


def way_back(payment: Payment) -> Response:
    """Back to the shop after an answer; to what has become of the payment, if the shop gave no address for that."""
    if _is_web_address(payment.return_url):
        return redirect(payment.return_url, 303)
    return page(payment)


def not_found() -> Response:
    """The page for a payment that there is not."""
    return _html("There is no such payment", "<p>The address may be incomplete, or very old.</p>", status=404)


def bad_answer() -> Response:
    """The page for an answer that is neither yes nor no."""
    return _html("That was neither yes nor no", "<p>Go back and choose one of the two buttons.</p>", status=400)


def _question(payment: Payment) -> str:
    rows = {"To": "Bookrush", "Card": cards.card_of(payment.card).label}
    facts = "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in rows.items())
    return (
        f'<p class="amount">{_amount(payment)}</p>'
        "<p>Your bank asks whether it is you who pays.</p>"
        f"<dl>{facts}</dl>"
        '<form method="post">'
        f'<button class="main" name="answer" value="{CONFIRM}">Confirm payment</button>'
        f'<button name="answer" value="{REFUSE}">Refuse</button>'
        "</form>"
    )


def _amount(payment: Payment) -> str:
    return escape(money.format_with_code(payment.amount_minor, payment.currency))


def _way_back(payment: Payment) -> str:
    if not _is_web_address(payment.return_url):
        return ""
    return f'<a class="button" href="{escape(payment.return_url)}">Back to the shop</a>'


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and url.isprintable()


def _html(title: str, content: str, *, status: int = 200) -> Response:
    text = _PAGE.substitute(title=escape(title), style=_STYLE, content=content)
    return Response(text, status=status, mimetype="text/html", headers=_HEADERS)
