"""`/sitemap.xml` and its parts, which list every page that is to be found, and `/robots.txt`.

A part has at most `PART` addresses, so that each is made within a moment however large the catalogue is.
"""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.sitemaps import Sitemap
from django.contrib.sitemaps import views as sitemap_views
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from shop.models import Book, Category
from shop.pages.tables import Language, Slug
from shop.pages.tables import address_of as address_of_page
from shop.search_engines.page_about import address_of

PART = 5_000
HOUR_SECONDS = 3600
_LEFT_ALONE = ("admin", "api/", "cart", "checkout", "orders", "sign-", "suggest", "withdraw", "ops", "kafka", "metrics")


class _Part(Sitemap):  # type: ignore[type-arg]  # no generic at run time
    limit = PART

    def get_domain(self, site: Any = None) -> str:
        """Where the shop is reached from outside."""
        return str(urlsplit(settings.SHOP_URL).netloc)

    def get_protocol(self, protocol: str | None = None) -> str:
        """As the shop is reached."""
        return str(urlsplit(settings.SHOP_URL).scheme)


class Books(_Part):
    """Every book for sale."""

    def items(self) -> QuerySet[Book]:
        """In a sequence that stays."""
        return Book.objects.filter(is_listed=True).only("isbn", "title").order_by("pk")


class Lists(_Part):
    """The front page and the shelves."""

    def items(self) -> list[str]:
        """Their addresses."""
        front = reverse("catalogue")
        return [front, *(f"{front}?category={slug}" for slug in Category.objects.values_list("slug", flat=True))]

    def location(self, item: str) -> str:
        """As it is."""
        return item


class OwnPages(_Part):
    """The shop's own pages, in each language."""

    def items(self) -> list[tuple[str, str]]:
        """By slug and language."""
        return [(slug, language) for slug in Slug.values for language in Language.values]

    def location(self, item: tuple[str, str]) -> str:
        """The page's address."""
        return address_of_page(*item)


class Names(_Part):
    """Pages of the authors, or of the series, who have a book for sale."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def items(self) -> QuerySet[Book, str]:
        """Their slugs."""
        column = f"{self._kind}_slug"
        rows = Book.objects.filter(is_listed=True).exclude(**{column: ""})
        return rows.order_by(column).values_list(column, flat=True).distinct()

    def location(self, item: str) -> str:
        """The page's address."""
        return reverse(self._kind, args=[item])


PARTS: "dict[str, type[Sitemap[Any]] | Sitemap[Any]]" = {
    "lists": Lists(),
    "books": Books(),
    "pages": OwnPages(),
    "authors": Names("author"),
    "series": Names("series"),
}


@require_safe
@cache_control(public=True, max_age=HOUR_SECONDS)
def sitemap_index(request: HttpRequest) -> HttpResponse:
    """Where the parts are."""
    return sitemap_views.index(request, PARTS, sitemap_url_name="sitemap_part")


@require_safe
@cache_control(public=True, max_age=HOUR_SECONDS)
def sitemap_part(request: HttpRequest, section: str) -> HttpResponse:
    """One part; 404 for one that there is not."""
    return sitemap_views.sitemap(request, PARTS, section=section)


@require_safe
@cache_control(public=True, max_age=HOUR_SECONDS)
def robots(request: HttpRequest) -> HttpResponse:
    """What programs that read pages are to leave alone: what is of one person, and searches without end."""
    lines = ["User-agent: *", *(f"Disallow: /{path}" for path in _LEFT_ALONE)]
    lines += [f"Disallow: /*{mark}{name}=" for name in ("q", "price", "stock") for mark in "?&"]
    lines += ["", f"Sitemap: {address_of(reverse('sitemap'))}", ""]
    return HttpResponse("\n".join(lines), content_type="text/plain; charset=utf-8")
