"""Every form that moves something is done once, however often it is sent; found from the URLs, so that none is missed.

XE7: staff press a button twice, and stock, money and mails move once.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, get_resolver, reverse

from devtools.testing.shop.admin_desk import ORDERS, confirmed, run, told
from devtools.testing.shop.flash_sales import a_sale
from devtools.testing.shop.forms import FORMS, Form
from devtools.testing.shop.storefront import a_book
from inventory.models import Movement
from kafka_bridge.admin.dead_letter_actions import DEEDS
from kafka_bridge.models import DeadLetterAct, OutboxRow, RefusedMessage
from orders.models import OrderMail, ReturnRequest
from payments.models import Refund
from shop.admin.orders.order_actions import ACTIONS
from shop.models import AuditEntry, AuditRun, Book, Category, FormPress
from shop.site import one_time_forms

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money, pytest.mark.stock, pytest.mark.security]
_TOKEN = re.compile(rf'name="{one_time_forms.FIELD}" value="([0-9a-f-]{{36}})"')


@pytest.fixture(autouse=True)
def nothing_by_itself(slow_carrier: None) -> None:
    """Orders stand where they are."""


ONLY_SHOWS = {
    "funnel",
    "kafka_bridge_deadletter_kinds",
    "kafka_window",
    "operations",
    "operations_page",
    "shop_shoppage_preview",
}
"""Pages of the admin that have no form, or one that moves nothing."""
NEEDS_BROKERS = {"operations_reset"}
"""Forms that are sent in `shop/tests/operations/test_group_acts.py`, twice too."""
ONLY_ASKS = {"cancel_selected", "redrive_selected", "discard_selected", "close_selected", "delete_selected"}
"""Actions that lead to a page with a form; that one is in `FORMS`, or Django's own."""
OTHERWISE_ONCE = {
    "checkout": "its idempotency key",
    "api_orders": "its idempotency key",
    "api_orders_bare": "its idempotency key",
    "payment_webhook": "the gateway's event id",
    "cart_add": "moves nothing: the cart can be changed until it is ordered",
    "cart_change": "moves nothing, and says how many there are to be",
    "order_again": "moves nothing: books are put in the cart, as many as there were",
    "waiting_room": "who waits has one place",
    "api_place": "who waits has one place",
    "waitlist_join": "an address waits once for a book",
    "waitlist_entry": "each of its buttons says how it is to be, however often",
    "withdraw": "moves nothing: leads to the order's own form",
    "sign_in": "signs in",
    "sign_out": "signs out",
    "sign_up": "an address has one account",
    "account_login": "is sign_in",
    "account_signup": "is sign_up",
    "account_confirm_email": "an address is confirmed or not",
    "account_reset_password": "asks for a mail; there is a limit of them",
    "account_reset_password_from_key": "its link works once",
    "account_email": "asks for a mail; there is a limit of them",
    "account_change_password": "the old password is the old one once",
    "account_addresses": "an address is kept once",
    "account_data": "moves nothing",
    "account_delete": "an account is deleted once",
    "claim_orders": "an order that has an account is not claimed",
    "find_order": "asks for a mail; there is a limit of them",
}
"""Forms of buyers without a token, and why they need none."""


# -- None is missed ---------------------------------------------------------------------------------------------------
def _patterns(patterns: list[Any]) -> Iterator[URLPattern]:
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern
        elif pattern.namespace is None:
            yield from _patterns(pattern.url_patterns)


def _admin_names() -> set[str]:
    pages: Any
    (pages,) = [p for p in get_resolver().url_patterns if getattr(p, "namespace", None) == "admin"]
    usual = re.compile(r"^[a-z_]+_(changelist|add|history|delete|change)$")
    django = {"index", "login", "logout", "password_change", "password_change_done", "autocomplete", "jsi18n",
              "view_on_site", "app_list", "auth_user_password_change", "search"}  # fmt: skip
    found = {
        name
        for pattern in pages.url_patterns
        for name in ([pattern.name] if isinstance(pattern, URLPattern) else [p.name for p in pattern.url_patterns])
        if name
    }
    return {name for name in found if not usual.match(name)} - django


def test_every_page_of_the_admin_is_tried_here() -> None:
    tried = {name.split()[0] for name in FORMS}
    missing = _admin_names() - tried - ONLY_SHOWS - NEEDS_BROKERS
    assert not missing, "Add a form to FORMS (or the page to ONLY_SHOWS, if it has none)"
    acts = {f"kafka_bridge_deadletter_act {name}" for name in DEEDS} | {f"orders_order_act {name}" for name in ACTIONS}
    assert not acts - set(FORMS), "each of these pages has several acts"


def test_every_choice_about_a_failed_mail_is_tried_here(admin_client: Client) -> None:
    page = admin_client.get(FORMS["orders_ordermail_decide again"](admin_client).page).content.decode()
    choices = set(re.findall(r'name="do" value="([a-z-]+)"', page))
    assert {f"orders_ordermail_decide {name}" for name in choices} == {n for n in FORMS if "_decide " in n}


def test_every_action_of_the_admin_is_tried_here() -> None:
    actions = {"delete_selected"}
    for pages in admin.site._registry.values():
        actions |= {name if isinstance(name, str) else name.__name__ for name in pages.actions or ()}
    assert not actions - set(FORMS) - ONLY_ASKS


@pytest.mark.parametrize("pattern", list(_patterns(get_resolver().url_patterns)), ids=lambda p: str(p.name))
def test_every_form_of_buyers_is_done_once(admin_client: Client, pattern: URLPattern) -> None:
    name = pattern.name or ""
    if getattr(pattern.callback, "is_one_time", False):
        assert name in FORMS
        return
    if name in OTHERWISE_ONCE:
        return
    made = {
        "order_id": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
        "isbn": "9780000000002",
        "slug": "book",
        "section": "books",
        "language": "vi",
    }
    wanted = pattern.pattern.converters
    try:
        address = reverse(name, kwargs={key: made[key] for key in wanted})
    except (KeyError, NoReverseMatch):
        pytest.fail(f"{name} takes something new: add it here")
    assert admin_client.post(address).status_code == 405, "use @one_time, or say in OTHERWISE_ONCE why not"


def test_the_forms_of_django_and_of_the_theme_carry_a_token(admin_client: Client) -> None:
    order, book, user = (
        confirmed(a_book(stock=50, title="The Glasshouse Alibi"), quantity=4),
        Book.objects.get(),
        User.objects.get(),
    )
    sale = a_sale(a_book(stock=50, title="Rush"), units=10)
    pages = ["/admin/password_change/", f"/admin/auth/user/{user.pk}/password/", f"/admin/shop/book/{book.pk}/delete/"]
    for model, row in ((Book, book), (Category, book.category), (type(sale), sale), (User, user)):
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages += [reverse(f"{name}_changelist"), reverse(f"{name}_add"), reverse(f"{name}_change", args=[row.pk])]
    for page in [*pages, ORDERS, "/admin/kafka_bridge/deadletter/", "/admin/payments/review/"]:
        html = admin_client.get(page, follow=True).content.decode()
        forms = [form for form in re.findall(r"<form.*?</form>", html, re.S) if 'name="csrfmiddlewaretoken"' in form]
        away = [form for form in forms if "/logout/" in form]
        bare = [form[:200] for form in forms if not _TOKEN.search(form) and form not in away]
        assert not bare, page
    assert order.pk


# -- Each is sent twice and at once --------------------------------------------------------------------------------
def _moved() -> dict[str, int]:
    """How much there is of all that forms move or leave behind."""
    tables = (Movement, OutboxRow, OrderMail, Refund, LogEntry, AuditEntry, AuditRun, DeadLetterAct, ReturnRequest)
    closed = RefusedMessage.objects.exclude(closed_at=None).count()
    return {model.__name__: model._default_manager.count() for model in (*tables, Category)} | {"closed": closed}


def _send(client: Client, form: Form, token: str) -> Any:
    try:
        data = {**form.data, one_time_forms.FIELD: token}
        return client.post(form.to or form.page, data)
    finally:
        if connection.connection is not None:
            connection.close()


def _again(client: Client) -> Client:
    """The same person's other request."""
    other = Client()
    other.cookies.update(client.cookies)
    return other


def _token_on(client: Client, form: Form) -> str:
    page = client.get(form.page)
    assert page.status_code == 200, form.page
    html = page.content.decode()
    sent_to = (form.to or form.page).split("?")[0]
    for part in re.findall(r"<form.*?</form>", html, re.S):
        action = re.search(r'\saction="([^"]+)"', part.split(">", 1)[0])
        leads_there = action[1].split("?")[0] == sent_to if action else not form.to
        if leads_there and (found := _TOKEN.search(part)):
            return found[1]
    raise AssertionError(f"no form with a token on {form.page}")


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_done_once(admin_client: Client, name: str) -> None:
    form = FORMS[name](admin_client)
    token = _token_on(admin_client, form)
    before = _moved()
    with ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(_send, _again(admin_client), form, token) for _ in range(2)]
        at_once = [one.result() for one in sent]
    after = _moved()
    assert after != before, "it moves something"
    assert [response.status_code for response in at_once] == [302, 302]
    assert len({response["Location"] for response in at_once}) == 1, "both lead to the result"
    # What is edited is noted as edited and as sent again.
    assert after["AuditEntry"] - before["AuditEntry"] <= (2 if name.endswith("_edit") else 1)
    assert after["LogEntry"] - before["LogEntry"] <= 1
    assert after["AuditRun"] - before["AuditRun"] <= 1

    third = _send(_again(admin_client), form, token)
    assert (third.status_code, third["Location"]) == (302, at_once[0]["Location"])
    assert _moved() == after, "a third press, later, does nothing"
    assert FormPress.objects.count() == 1


def test_one_act_each(admin_client: Client) -> None:
    """XE7's own figures: 1 of 4 refunded, 1 of 5 cancelled, 10 received."""
    for name in ("orders_returnrequest_refund", "orders_order_reduce"):
        form = FORMS[name](admin_client)
        token = _token_on(admin_client, form)
        for _ in range(2):
            _send(_again(admin_client), form, token)
    run()
    assert sorted(Refund.objects.values_list("amount_minor", flat=True)) == [1250, 1250], "one each"
    form = FORMS["inventory_stock_receive"](admin_client)
    token = _token_on(admin_client, form)
    for _ in range(2):
        _send(_again(admin_client), form, token)
    sku = form.data["sku"]
    received = Movement.objects.filter(sku=sku, kind="received").values_list("received", flat=True)
    assert sorted(received) == [10, 50]


# -- What is said, and what is no second press ------------------------------------------------------------------------
def test_the_second_press_shows_what_the_first_one_said(admin_client: Client) -> None:
    form = FORMS["inventory_stock_receive"](admin_client)
    data = {**form.data, one_time_forms.FIELD: _token_on(admin_client, form)}
    first = told(admin_client.post(form.page, data, follow=True))
    second = told(admin_client.post(form.page, data, follow=True))
    assert second[:-1] == first
    assert second[-1].startswith("This form was sent twice, and was done once.")


def test_the_same_form_with_other_contents_is_not_done(admin_client: Client) -> None:
    form = FORMS["inventory_stock_receive"](admin_client)
    data = {**form.data, one_time_forms.FIELD: _token_on(admin_client, form)}
    admin_client.post(form.page, data, follow=True)
    after = _moved()
    assert "other contents" in told(admin_client.post(form.page, {**data, "units": "99"}, follow=True))[0]
    assert _moved() == after


def test_a_form_with_errors_can_be_sent_again(admin_client: Client) -> None:
    form = FORMS["inventory_stock_receive"](admin_client)
    data = {**form.data, one_time_forms.FIELD: _token_on(admin_client, form)}
    assert admin_client.post(form.page, {**data, "units": "0"}).status_code == 200
    assert FormPress.objects.count() == 0
    assert admin_client.post(form.page, data).status_code == 302


def test_a_token_is_of_one_person_and_one_page(admin_client: Client) -> None:
    form = FORMS["inventory_stock_receive"](admin_client)
    token = _token_on(admin_client, form)
    admin_client.post(form.page, {**form.data, one_time_forms.FIELD: token})
    other = Client()
    other.force_login(User.objects.create_superuser("other"))
    after = _moved()
    answer = other.post(form.page, {**form.data, one_time_forms.FIELD: token}, follow=True)
    assert "used already" in told(answer)[0]
    assert _moved() == after


def test_an_act_that_fails_leaves_no_token(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    form = FORMS["inventory_stock_receive"](admin_client)
    token = _token_on(admin_client, form)
    before = _moved()
    monkeypatch.setattr("shop.operations.activity_log.record", _fails)
    with pytest.raises(ZeroDivisionError):
        admin_client.post(form.page, {**form.data, one_time_forms.FIELD: token})
    assert (_moved(), FormPress.objects.count()) == (before, 0)
    monkeypatch.undo()
    assert admin_client.post(form.page, {**form.data, one_time_forms.FIELD: token}).status_code == 302


def test_who_is_signed_out_can_send_the_form_after_signing_in(admin_client: Client) -> None:
    form = FORMS["inventory_stock_receive"](admin_client)
    data = {**form.data, one_time_forms.FIELD: _token_on(admin_client, form)}
    assert "/admin/login/" in Client().post(form.page, data)["Location"]
    assert FormPress.objects.count() == 0
    assert admin_client.post(form.page, data)["Location"] != "/admin/login/"


def _fails(**_: object) -> None:
    raise ZeroDivisionError


def test_a_form_whose_first_press_never_came_to_an_end_says_so(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_time_forms, "_WAIT_SECONDS", 0.2)
    form = FORMS["shop_auditrun_now"](admin_client)
    data = {one_time_forms.FIELD: _token_on(admin_client, form)}
    monkeypatch.setattr("shop.audit.run", _fails)
    with pytest.raises(ZeroDivisionError):
        admin_client.post(form.to, data)
    monkeypatch.undo()
    monkeypatch.setattr(one_time_forms, "_WAIT_SECONDS", 0.2)
    assert "no result of it yet" in told(admin_client.post(form.to, data, follow=True))[0]
    assert AuditRun.objects.count() == 0
