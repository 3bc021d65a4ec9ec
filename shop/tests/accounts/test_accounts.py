# ruff: noqa: RUF001 - letters that look like others are what this is about
"""Signing up, in and out."""

import importlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from devtools.testing.shop.storefront import a_book, put_in_cart
from shop.models import AccountName

pytestmark = pytest.mark.django_db
PASSWORD = "Long-enough-17"


def test_signing_up_signs_in_and_keeps_the_cart(client: Client) -> None:
    book = a_book()
    put_in_cart(client, book, 2)
    fields = {"username": "ada", "email": "ada@example.com", "password1": PASSWORD, "password2": PASSWORD}
    response = client.post("/sign-up/", {**fields, "next": "/cart/"})
    assert (response.status_code, response["Location"]) == (302, "/cart/")
    page = client.get("/cart/")
    assert page.wsgi_request.user == User.objects.get(username="ada", email="ada@example.com")
    assert [(line.sku, line.quantity) for line in page.context["lines"]] == [(book.isbn, 2)]


def test_a_weak_password_is_explained(client: Client) -> None:
    fields = {"username": "ada", "email": "ada@example.com", "password1": "12345", "password2": "12345"}
    response = client.post("/sign-up/", fields)
    assert response.status_code == 422
    assert "This password is too short." in response.content.decode()
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
@pytest.mark.parametrize("path", ["/sign-in/", "/sign-up/"])
def test_nobody_is_led_away_from_the_shop(client: Client, path: str, target: str) -> None:
    User.objects.create_user("ada", password=PASSWORD)
    fields = {"username": "ada", "password": PASSWORD}
    if path == "/sign-up/":
        fields = {"username": "bo", "email": "bo@example.com", "password1": PASSWORD, "password2": PASSWORD}
    response = client.post(path, {**fields, "next": target})
    assert (response.status_code, response["Location"]) == (302, "/orders/" if path == "/sign-in/" else "/")


def test_signing_in_leads_back_and_out_needs_a_post(client: Client) -> None:
    User.objects.create_user("ada", password=PASSWORD)
    response = client.post("/sign-in/", {"username": "ada", "password": PASSWORD, "next": "/checkout/"})
    assert response["Location"] == "/checkout/"
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/")["Location"] == "/"
    assert "_auth_user_id" not in client.session


def test_a_wrong_password_is_said(client: Client) -> None:
    response = client.post("/sign-in/", {"username": "ada", "password": "no"})
    assert "Please enter a correct username and password" in response.content.decode()


def sign_up(client: Client, name: str) -> int:
    fields = {"username": name, "email": "ada@example.com", "password1": PASSWORD, "password2": PASSWORD}
    response = client.post("/sign-up/", fields)
    if response.status_code == 422:
        assert response.context["form"].errors == {"username": ["Please choose another user name."]}
    return response.status_code


@pytest.mark.security
@pytest.mark.parametrize(
    "name",
    ["admin", "Admin", "аdmin", "аdmіn", "ADMIN", "ａｄｍｉｎ", "reader", "READER", "rеader", "Reɑder", "reаdеr"],
)
def test_names_that_look_alike_are_one_name(client: Client, name: str) -> None:
    """XA8: and whether it is taken, alike or reserved is not said."""
    User.objects.create_user("Reader", password=PASSWORD)
    assert sign_up(client, name) == 422
    assert User.objects.count() == 1


@pytest.mark.parametrize("name", ["Добрыня", "nguyễn", "读者", "ali", "all", "reader2"])
def test_other_names_are_welcome(client: Client, name: str) -> None:
    User.objects.create_user("Reader", password=PASSWORD)
    assert sign_up(client, name) == 302


@pytest.mark.security
@pytest.mark.parametrize("typed", ["Reader", "reader", "READER"])
def test_signing_in_knows_no_case(client: Client, typed: str) -> None:
    """XE11."""
    User.objects.create_user("Reader", password=PASSWORD)
    assert client.post("/sign-in/", {"username": typed, "password": PASSWORD}).status_code == 302


def test_accounts_of_before_that_clash_both_sign_in(client: Client) -> None:
    """XA8, XE11: each with its exact name, any other spelling opens the older one."""
    for name in ("Reader", "reader"):
        User.objects.create_user(name, password=f"{PASSWORD}-{name}")
    for typed, whose in (("Reader", "Reader"), ("reader", "reader"), ("READER", "Reader")):
        client = Client()
        response = client.post("/sign-in/", {"username": typed, "password": f"{PASSWORD}-{whose}"})
        assert response.status_code == 302
        assert client.get("/").wsgi_request.user.get_username() == whose


@pytest.mark.security
def test_accounts_that_clash_when_names_come_to_be_kept(client: Client) -> None:
    """XA8: the migration gives the older of two its name, leaves the other one without, and loses neither."""
    names = ["Reader", "reader", "Bo", "rеader"]
    for name in names:
        User.objects.create_user(name, password=f"{PASSWORD}-{name}")
    AccountName.objects.all().delete()
    note_names = importlib.import_module("shop.migrations.0007_account_names").note_names
    note_names(apps, None)
    note_names(apps, None)  # interrupted, and run again
    assert set(AccountName.objects.values_list("user__username", "canonical")) == {("Reader", "reader"), ("Bo", "bo")}
    for name in names:
        fields = {"username": name, "password": f"{PASSWORD}-{name}"}
        assert Client().post("/sign-in/", fields).status_code == 302
    assert sign_up(client, "READER") == 422


@pytest.mark.django_db(transaction=True)
@pytest.mark.security
def test_signing_up_at_once_makes_one_account() -> None:
    """XE11: the others are told to choose another name."""

    def attempt(name: str) -> int:
        try:
            return sign_up(Client(), name)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, ["reader", "reader", "Reader", "reаder"] * 2))
    assert sorted(answers) == [302] + [422] * 7
    assert User.objects.count() == 1
