# ruff: noqa: RUF001 - letters that look like others are what this is about
"""Signing up, in and out."""

import importlib

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client

from shop.models import AccountName

pytestmark = pytest.mark.django_db
PASSWORD = "Long-enough-17"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
def test_nobody_is_led_away_from_the_shop(client: Client, target: str) -> None:
    User.objects.create_user("ada", password=PASSWORD)
    response = client.post("/sign-in/", {"username": "ada", "password": PASSWORD, "next": target})
    assert (response.status_code, response["Location"]) == (302, "/orders/")


def test_signing_in_leads_back_and_out_needs_a_post(client: Client) -> None:
    User.objects.create_user("ada", password=PASSWORD)
    response = client.post("/sign-in/", {"username": "ada", "password": PASSWORD, "next": "/checkout/"})
    assert response["Location"] == "/checkout/"
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/")["Location"] == "/"
    assert "_auth_user_id" not in client.session


def test_a_wrong_password_is_said(client: Client) -> None:
    response = client.post("/sign-in/", {"username": "ada", "password": "no"})
    assert "Please enter a correct email address or user name" in response.content.decode()


@pytest.mark.security
@pytest.mark.parametrize("name", ["READER", "ｒｅａｄｅｒ", "rеader", "Reɑder", "reаdеr"])
def test_names_that_look_alike_are_one_name(name: str) -> None:
    """XA8: the first account with it has the name; a later one signs in with its exact letters only."""
    reader = User.objects.create_user("Reader", password=PASSWORD)
    User.objects.create_user(name, password=PASSWORD)
    assert [known.user for known in AccountName.objects.all()] == [reader]


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
def test_accounts_that_clash_when_names_come_to_be_kept() -> None:
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
