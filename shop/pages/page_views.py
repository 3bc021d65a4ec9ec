"""`/pages/<slug>/` and, in another language, `/<language>/pages/<slug>/`."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from shop.activity.counting import View
from shop.pages import markup, page_texts
from shop.pages.tables import Language, address_of
from shop.search_engines import page_about
from shop.site import shared_pages


@require_safe
def page(request: HttpRequest, slug: str, language: str = Language.EN) -> HttpResponseBase:
    """One of the shop's own pages; 404 where there is none."""
    return shared_pages.respond(request, lambda: _page(slug, language), view=View("page"))


def _page(slug: str, language: str) -> shared_pages.Page:
    found = page_texts.read(slug, language)
    if found is None:
        raise Http404
    return shared_pages.Page(template="shop/page.html", context=context_of(found))


def context_of(found: page_texts.PageText) -> dict[str, object]:
    """What the template shows."""
    return {
        "shown": found,
        "html": markup.rendered(found.text),
        "languages": [(code, name, address_of(found.slug, code)) for code, name in Language.choices],
        "shop_url": settings.SHOP_URL,
        "about": page_about.of_page(
            found.title, markup.first_words(found.text), address_of(found.slug, found.language)
        ),
    }
