"""S8: imprint, privacy and the others are there in both languages, and staff edit them."""

import re
import time
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring
from django.contrib.auth.models import Permission, User
from django.test import Client

from shop.models import AuditEntry, ShopPage
from shop.pages import markup, page_texts
from shop.pages.tables import Language, Slug, address_of
from shop.site import shared_answers, shared_pages

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.shop]


@pytest.fixture
def row() -> ShopPage:
    """The terms, as they were delivered."""
    found = page_texts.as_delivered(Slug.TERMS, Language.EN)
    # The migration's own row is there only until a test has emptied the tables.
    row, _ = ShopPage.objects.update_or_create(
        slug=found.slug, language=found.language, defaults={"title": found.title, "text": found.text}
    )
    return row


def admin_page(row: ShopPage) -> str:
    return f"/admin/shop/shoppage/{row.pk}/change/"


def test_each_page_is_there_in_each_language_with_its_settings(client: Client, settings: Any) -> None:
    settings.KEEP_ACTIVITY_DAYS, settings.WITHDRAWAL_DAYS = 23.0, 31
    shared_pages.forget()
    front = client.get("/").content.decode()
    for slug in Slug.values:
        assert f'href="/pages/{slug}/"' in front
        for language in Language.values:
            page = client.get(address_of(slug, language)).content.decode()
            assert f'<article class="page-text" lang="{language}">' in page
            article = page[page.index("<article") : page.index("</article>")]
            assert not re.search(r"\{\w+\}", article), "each name is filled in"
            assert "<em>" in article or "<strong>" in article, "placeholders are marked"
            assert page.count('rel="alternate"') == len(Language.values)
            assert f'{address_of(slug, language)}">' in page
    assert "23 days" in client.get("/pages/privacy/").content.decode()
    assert "31 ngày" in client.get("/vi/pages/returns/").content.decode()
    assert client.get("/pages/nothing/").status_code == client.get("/fr/pages/terms/").status_code == 404
    places = [str(each.text) for each in fromstring(client.get("/sitemap-pages.xml").content).iter() if each.text]
    assert sum(place.endswith("/vi/pages/terms/") for place in places) == 1


def test_a_page_edited_is_seen_and_it_is_noted_who(admin_client: Client, client: Client, row: ShopPage) -> None:
    evil = "<script>alert(1)</script>\n\n[x](javascript:alert(1)) ![p](//evil/p.png)"
    typed = "## News\n\nWe moved to **{shop_email}**.\n\n" + evil
    form = {"title": "New terms", "text": typed, "initial-title": row.title, "initial-text": row.text}
    preview = admin_client.post(f"/admin/shop/shoppage/{row.pk}/preview/", form).content.decode()
    assert "nothing of this is saved yet" in preview
    assert "<h2>News</h2>" in preview
    assert "New terms" not in Client().get("/pages/terms/").content.decode()

    assert admin_client.post(admin_page(row), {**form, "text": "{no_such}"}).status_code == 200
    assert admin_client.post(admin_page(row), form).status_code == 302
    shared_pages.forget()
    page = client.get("/pages/terms/").content.decode()
    assert "<h2>News</h2>" in page
    assert "<strong>orders@bookrush.example</strong>" in page
    assert "<script>alert" not in page
    assert "javascript:" not in re.sub(r"\[x\]\(javascript:alert\(1\)\)", "", page)
    assert "<img" not in page[page.index("<article") :]
    entry = AuditEntry.objects.get()
    assert (entry.who, entry.what, entry.after["title"]) == ("admin", "page changed", "New terms")


def test_it_is_seen_without_a_restart_within_a_second(client: Client, row: ShopPage) -> None:
    client.get("/pages/terms/")
    ShopPage.objects.filter(pk=row.pk).update(title="Newer terms")
    assert shared_pages.PAGE_SECONDS + shared_answers.ANSWER_SECONDS < 1, "what it may be old by"
    until = time.monotonic() + 60
    while "Newer terms" not in client.get("/pages/terms/").content.decode():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_who_may_only_look_changes_nothing(row: ShopPage) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_shoppage"))
    client = Client()
    client.force_login(clerk)
    assert client.get(admin_page(row)).status_code == 200
    for address in (admin_page(row), f"/admin/shop/shoppage/{row.pk}/preview/"):
        assert client.post(address, {"title": "x", "text": "x"}).status_code == 403


def test_a_text_refuses_names_that_there_are_not() -> None:
    with pytest.raises(markup.UnknownName, match=r"\{days\} is not known. These are: .*\{withdrawal_days\}"):
        markup.check("so many {days}")
