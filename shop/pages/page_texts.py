"""What the shop's own pages say: the texts of staff, or those that the shop came with."""

import re
from dataclasses import dataclass
from pathlib import Path

from shop.pages.tables import Language, ShopPage, Slug

# Within a paragraph or a point of a list: the files are wrapped, and a form does that by itself.
_LINE_BREAK = re.compile(r"(?<!\n)\n(?!\n|- |#) *")
_FOLDER = Path(__file__).parent / "texts"


@dataclass(frozen=True, kw_only=True, slots=True)
class PageText:
    """One page in one language; the text is Markdown."""

    slug: str
    language: str
    title: str
    text: str


def read(slug: str, language: str) -> PageText | None:
    """The page as it is now; None where there is no such page."""
    if slug not in Slug.values or language not in Language.values:
        return None
    row = ShopPage.objects.filter(slug=slug, language=language).first()
    if row is None:
        return as_delivered(slug, language)
    return PageText(slug=slug, language=language, title=row.title, text=row.text)


def as_delivered(slug: str, language: str) -> PageText:
    """The page as the shop came with it: a text to be gone through before anybody relies on it."""
    title, _, text = (_FOLDER / language / f"{slug}.md").read_text().partition("\n")
    return PageText(
        slug=slug, language=language, title=title.removeprefix("# "), text=_LINE_BREAK.sub(" ", text.strip())
    )
