"""Signing up, in and out."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from devtools.testing.shop.storefront import a_book, put_in_cart

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
