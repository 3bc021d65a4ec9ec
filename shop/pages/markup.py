"""The markup of the shop's own pages: Markdown without HTML, in which `{names}` stand for what the shop's settings say.

A period or an address that stands in a setting is not typed a second time, so that no page says something else than
the shop does.
"""

import re
from collections.abc import Callable, Mapping
from email.utils import parseaddr

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

_NAME = re.compile(r"\{([a-z_]+)\}")
# No HTML, no images (a picture from elsewhere would tell its server who reads), and links only to what is a page.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable(["image", "html_block", "html_inline"])
_FACTS: Mapping[str, Callable[[], str]] = {
    "shop_email": lambda: parseaddr(settings.DEFAULT_FROM_EMAIL)[1],
    "shop_url": lambda: settings.SHOP_URL,
    "withdrawal_days": lambda: f"{settings.WITHDRAWAL_DAYS}",
    "withdrawal_page": lambda: reverse("withdraw"),
    "session_days": lambda: _days(settings.SESSION_COOKIE_AGE / 86_400 + settings.KEEP_SESSIONS_DAYS),
    "form_days": lambda: _days(settings.KEEP_FORMS_DAYS),
    "activity_days": lambda: _days(settings.KEEP_ACTIVITY_DAYS),
    "webhook_days": lambda: _days(settings.KEEP_WEBHOOKS_DAYS),
    "waitlist_days": lambda: _days(settings.KEEP_WAITLIST_DAYS),
    "hold_hours": lambda: _days(settings.BACK_IN_STOCK_HOLD_HOURS),
    "movement_days": lambda: _days(settings.KEEP_MOVEMENTS_DAYS),
    "log_days": lambda: _days(settings.KEEP_AUDIT_LOG_DAYS),
}
NAMES = tuple(sorted(_FACTS))
"""What can stand in braces."""


class UnknownName(Exception):
    """A text has `{something}` in it that is no name; the message says which names there are."""


def check(text: str) -> None:
    """See to it that every name in braces is one.

    Raises:
        UnknownName: see there.
    """
    if unknown := sorted({name for name in _NAME.findall(text) if name not in _FACTS}):
        braced = ", ".join(f"{{{name}}}" for name in unknown)
        raise UnknownName(f"{braced} is not known. These are: {', '.join(f'{{{name}}}' for name in NAMES)}.")


def rendered(text: str) -> SafeString:
    """The text as HTML: nothing that was typed in it is HTML, and links lead to pages and mail addresses only."""
    html: str = _MARKDOWN.render(_filled(text))
    return mark_safe(html)  # noqa: S308 - made by a renderer that escapes


def first_words(text: str) -> str:
    """The first paragraph without its markup, for search engines."""
    paragraphs = [part for part in _filled(text).split("\n\n") if part.strip() and not part.lstrip().startswith("#")]
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", paragraphs[0] if paragraphs else "")
    return re.sub(r"[*_`>]|^[-\d.]+ ", "", " ".join(plain.split()))


def _filled(text: str) -> str:
    """With what the settings say; a name that there is not (any more) stays as it was typed."""
    return _NAME.sub(lambda found: _FACTS[found[1]]() if found[1] in _FACTS else found[0], text)


def _days(days: float) -> str:
    return f"{days:g}"
