"""Two people edit the same row: a form that was opened first does not undo what the other one saved. XE8."""

import re
from html import unescape
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from devtools.testing.shop.flash_sales import HOUR, a_sale, date_and_time
from devtools.testing.shop.storefront import a_book
from kafka_bridge import admin as facts
from shop.admin.site import stale_forms
from shop.models import Book, Category, FlashSale
from shop.site import one_time_forms

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security]
BOOKS, SALES, CATEGORIES = "/admin/shop/book/", "/admin/shop/flashsale/", "/admin/shop/category/"


def form_on(client: Client, page: str, **typed: Any) -> dict[str, Any]:
    """What a browser would send from this page; `typed` is what a person changed."""
    html = client.get(page).content.decode()
    forms = [form for form in re.findall(r"<form.*?</form>", html, re.S) if 'name="csrfmiddlewaretoken"' in form]
    part = max(forms, key=len)
    return fields_of(part) | typed


def fields_of(html: str) -> dict[str, Any]:
    """The successful controls of a form, without its buttons; a list for each name."""
    found: dict[str, list[str]] = {}
    for tag in re.findall(r"<input\b[^>]*>", html):
        at = {name: unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', tag)}
        kind, name = at.get("type", "text"), at.get("name", "")
        is_off = kind in ("checkbox", "radio") and not re.search(r"\bchecked\b", tag)
        if name and not is_off and kind not in ("submit", "file") and name not in ("_selected_action", "action"):
            found.setdefault(name, []).append(at.get("value", "on" if kind == "checkbox" else ""))
    for name, inner in re.findall(r'<textarea\b[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', html, re.S):
        found[name] = [unescape(inner).removeprefix("\n")]
    for name, inner in re.findall(r'<select\b[^>]*name="([^"]+)"[^>]*>(.*?)</select>', html, re.S):
        if chosen := re.findall(r'<option value="([^"]*)"[^>]*\bselected\b', inner):
            found[name] = chosen
    return found


def errors(response: Any) -> dict[str, str]:
    """What the page says is wrong, by field."""
    assert response.status_code == 200, response.headers
    return {name: " ".join(words) for name, words in response.context["adminform"].form.errors.items()}


def test_every_page_where_rows_are_edited_has_the_check() -> None:
    for pages in admin.site._registry.values():
        if isinstance(pages, facts.FactsAdmin):
            assert not pages.list_editable
            continue
        assert isinstance(pages, stale_forms.CheckedAdmin), pages
        assert all(issubclass(inline, stale_forms.CheckedInline) for inline in pages.inlines), pages


def test_a_new_price_is_not_undone_by_a_form_that_was_opened_before(admin_client: Client) -> None:
    book = a_book(price_minor=1250, title="The Glasshouse Alibi")
    page = f"{BOOKS}{book.pk}/change/"
    mine, theirs = form_on(admin_client, page, title="The Glass House"), form_on(admin_client, page, price="14.00")
    assert admin_client.post(page, theirs).status_code == 302
    answer = admin_client.post(page, mine)
    book.refresh_from_db()
    assert (book.title, book.price_minor) == ("The Glasshouse Alibi", 1400)
    assert errors(answer) == {
        "price": "Changed to “14.00” by somebody else since you opened this page (it was “12.50”). Save again to agree."
    }
    html = answer.content.decode()
    again = fields_of(html)
    assert (again["title"], again["price"], again["initial-price"]) == (["The Glass House"], ["14.00"], ["14.00"])
    assert admin_client.post(page, again).status_code == 302
    book.refresh_from_db()
    assert (book.title, book.price_minor) == ("The Glass House", 1400)


def test_both_values_are_shown_where_both_changed_it(admin_client: Client) -> None:
    book = a_book(price_minor=1250)
    page = f"{BOOKS}{book.pk}/change/"
    mine, theirs = form_on(admin_client, page, price="11.00"), form_on(admin_client, page, price="14.00")
    admin_client.post(page, theirs)
    answer = admin_client.post(page, mine)
    assert errors(answer)["price"] == (
        "Changed to “14.00” by somebody else since you opened this page (it was “12.50”), and you entered “11.00”. "
        "Save again to keep yours."
    )
    book.refresh_from_db()
    assert book.price_minor == 1400
    again = fields_of(answer.content.decode())
    assert again["price"] == ["11.00"]
    assert admin_client.post(page, again).status_code == 302
    book.refresh_from_db()
    assert book.price_minor == 1100


def test_a_form_of_today_is_saved_at_once(admin_client: Client) -> None:
    for row in (a_book(), a_sale(a_book(), starts_in=HOUR), Category.objects.get(), Group.objects.create(name="desk")):
        name = f"{row._meta.app_label}/{row._meta.model_name}"
        page = f"/admin/{name}/{row.pk}/change/"
        assert admin_client.post(page, form_on(admin_client, page)).status_code == 302, page
    page = f"/admin/auth/user/{User.objects.get().pk}/change/"
    assert admin_client.post(page, form_on(admin_client, page)).status_code == 302


def test_a_sale_and_the_rows_below_it(admin_client: Client) -> None:
    book, other = a_book(stock=50, title="One"), a_book(stock=50, title="Two")
    sale = a_sale(book, other, starts_in=HOUR, units=5)
    page = f"{SALES}{sale.pk}/change/"
    later = date_and_time("ends_at", sale.ends_at + HOUR)
    mine = form_on(admin_client, page, **{"books-1-units": "6"})
    theirs = form_on(admin_client, page, **{**later, "books-0-units": "9"})
    assert admin_client.post(page, theirs).status_code == 302
    answer = admin_client.post(page, mine)
    formset = answer.context["inline_admin_formsets"][0].formset
    assert "Changed to “9”" in str(formset.forms[0].errors["units"])
    assert "Changed to" in errors(answer)["ends_at"]
    assert list(sale.books.values_list("units", flat=True)) == [9, 5]
    again = fields_of(answer.content.decode())
    assert (again["books-0-units"], again["books-1-units"]) == (["9"], ["6"])
    assert admin_client.post(page, again).status_code == 302
    assert list(sale.books.values_list("units", flat=True)) == [9, 6]
    before = sale.ends_at
    sale.refresh_from_db()
    assert sale.ends_at > before


def test_a_list_writes_only_what_was_changed_in_it(admin_client: Client) -> None:
    first, second = a_book(title="A"), a_book(title="B")
    mine = form_on(admin_client, BOOKS, _save="Save")
    Book.objects.filter(pk=first.pk).update(price_minor=999, is_listed=False)
    mine = {name: values for name, values in mine.items() if name != "form-1-is_listed"}
    assert admin_client.post(BOOKS, mine).status_code == 302
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.is_listed, first.price_minor, second.is_listed) == (False, 999, False)


def test_a_position_that_both_changed_in_the_list(admin_client: Client) -> None:
    shelf = a_book().category
    mine = form_on(admin_client, CATEGORIES, _save="Save", **{"form-0-position": "7"})
    Category.objects.filter(pk=shelf.pk).update(position=5)
    answer = admin_client.post(CATEGORIES, mine)
    assert answer.status_code == 200
    assert "Changed to “5” by somebody else" in unescape(answer.content.decode())
    shelf.refresh_from_db()
    assert shelf.position == 5


def test_rights_that_a_colleague_took_away_stay_away(admin_client: Client) -> None:
    user = User.objects.create_user("clerk", is_staff=True)
    right, group = Permission.objects.get(codename="change_book"), Group.objects.create(name="desk")
    user.user_permissions.add(right)
    page = f"/admin/auth/user/{user.pk}/change/"
    mine = form_on(admin_client, page, first_name="Ada")
    user.user_permissions.clear()
    user.groups.add(group)
    answer = admin_client.post(page, mine)
    assert set(errors(answer)) == {"user_permissions", "groups"}
    assert admin_client.post(page, fields_of(answer.content.decode())).status_code == 302
    user.refresh_from_db()
    assert (user.first_name, list(user.user_permissions.all()), list(user.groups.all())) == ("Ada", [], [group])


def test_a_form_that_says_nothing_of_what_it_showed_is_taken_as_it_is(admin_client: Client) -> None:
    sale = a_sale(a_book(), starts_in=HOUR)
    page = f"{SALES}{sale.pk}/change/"
    sent = {name: value for name, value in form_on(admin_client, page, name="Spring").items() if "initial-" not in name}
    sent.pop(one_time_forms.FIELD)
    assert admin_client.post(page, sent).status_code == 302
    assert FlashSale.objects.get().name == "Spring"
