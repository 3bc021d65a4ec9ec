"""Accounts by mail address: signing up, confirming, passwords, another address; mails by a real server. S1, XD2."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from devtools.testing.shop import mail_server
from devtools.testing.shop.mail_server import MailServer
from devtools.testing.shop.mailbox import letters, link
from devtools.testing.shop.storefront import a_book, put_in_cart
from shop.accounts import mails
from shop.limits import limits
from shop.models import AccountMail

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.shop]
PASSWORD, ANOTHER = "Long-enough-17", "Longer-than-18"
ADA = "ada@example.com"


def sign_up(client: Client, address: str = ADA, password: str = PASSWORD, **fields: str) -> Any:
    return client.post("/sign-up/", {"email": address, "password1": password, **fields})


def sign_in(client: Client, login: str = ADA, password: str = PASSWORD) -> bool:
    client.post("/sign-in/", {"username": login, "password": password})
    return is_signed_in(client)


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def with_account(server: MailServer, address: str = ADA) -> Client:
    """A browser in which somebody has signed up and confirmed the address."""
    client = Client()
    sign_up(client, address)
    client.post(link(server, address, "confirm-address"))
    assert is_signed_in(client)
    return client


def test_signing_up_takes_the_mails_link_and_keeps_the_cart(client: Client, server: MailServer) -> None:
    book = a_book()
    put_in_cart(client, book, 2)
    assert sign_up(client, "Ada@Example.com", next="/cart/")["Location"] == "/sign-up/sent/"
    assert not is_signed_in(client)
    confirm = link(server, ADA, "confirm-address")
    assert "Is <strong>ada@example.com</strong> the address" in client.get(confirm).content.decode()
    assert not is_signed_in(client), "a program that follows links in mails confirms nothing"
    answer = client.post(confirm)
    assert answer["Location"] == "/cart/"
    page = client.get("/cart/")
    assert [(line.sku, line.quantity) for line in page.context["lines"]] == [(book.isbn, 2)]
    user = User.objects.get(email=ADA)
    assert page.wsgi_request.user == user
    assert "ada" not in user.username, "user names stand in logs"
    assert AccountMail.objects.count() == 0, "what opens an account is not kept"


def test_a_weak_password_and_no_address_are_explained(client: Client) -> None:
    response = sign_up(client, password="12345")
    assert response.status_code == 422
    assert "This password is too short." in response.content.decode()
    assert sign_up(client, "ada").status_code == 422
    assert not User.objects.exists()


@pytest.mark.security
@pytest.mark.parametrize("path", ["/sign-up/", "/reset-password/"])
def test_no_page_tells_who_has_an_account(server: MailServer, path: str) -> None:
    """The answers are the same, to the letter; only the mails tell, and those their owner gets."""
    with_account(server)

    def ask(address: str) -> tuple[int, str, bytes]:
        browser = Client()
        answer = browser.post(path, {"email": address, "password1": PASSWORD})
        return answer.status_code, answer["Location"], browser.get(answer["Location"]).content

    assert ask(ADA) == ask("bo@example.com")
    said = letters(server, ADA)[-1]
    assert "has one already" in said if path == "/sign-up/" else "choose a new password" in said
    assert User.objects.filter(email=ADA).count() == 1


@pytest.mark.security
def test_a_strangers_account_with_ones_address_opens_to_nobody(server: MailServer) -> None:
    """The owner of the address follows the link without thinking; the stranger has gained nothing."""
    stranger, owner = Client(), Client()
    sign_up(stranger, password=PASSWORD)
    assert not sign_in(stranger), "not before the address is confirmed"
    confirm = link(server, ADA, "confirm-address")
    assert "Enter the password that you chose" in owner.get(confirm).content.decode()
    assert owner.post(confirm).status_code == 422
    assert owner.post(confirm, {"password": ANOTHER}).status_code == 422
    assert not EmailAddress.objects.filter(verified=True).exists()
    owner.post("/reset-password/", {"email": ADA})
    choose(owner, server, ANOTHER)
    assert (sign_in(stranger), sign_in(owner, password=ANOTHER)) == (False, True)


def test_another_browser_confirms_with_the_password(server: MailServer) -> None:
    telephone = Client()
    sign_up(Client())
    telephone.post(link(server, ADA, "confirm-address"), {"password": PASSWORD})
    assert is_signed_in(telephone)
    assert sign_in(Client())


@pytest.mark.security
def test_signing_up_at_once_makes_one_account() -> None:
    """XE11."""

    def attempt(_: int) -> str:
        try:
            return str(sign_up(Client())["Location"])
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(attempt, range(8))) == {"/sign-up/sent/"}
    assert User.objects.count() == 1


def choose(client: Client, server: MailServer, password: str, address: str = ADA) -> int:
    """Follow the link of the last mail, and choose a password; returns the answer's status."""
    page = client.get(link(server, address, "reset-password/[0-9a-z]+-"), follow=True)
    fields = {"password1": password, "password2": password}
    return client.post(page.request["PATH_INFO"], fields).status_code


def test_a_password_is_chosen_by_mail_once(server: MailServer) -> None:
    """It ends all sessions, confirms an address of before, and tells the owner."""
    User.objects.create_user("Ada", "Ada@Example.com", PASSWORD)
    other, forgetful = Client(), Client()
    assert sign_in(other, "ada")
    forgetful.post("/reset-password/", {"email": ADA})
    asked = link(server, ADA, "reset-password/[0-9a-z]+-")
    assert choose(forgetful, server, ANOTHER) == 302
    assert other.get("/account/")["Location"].startswith("/sign-in/")
    assert (sign_in(Client()), sign_in(Client(), password=ANOTHER)) == (False, True)
    assert "has been used" in Client().get(asked, follow=True).content.decode()
    assert EmailAddress.objects.get(email=ADA).verified
    assert "was changed just now" in letters(server, ADA)[-1]


@pytest.mark.security
def test_no_mail_makes_anybody_staff(client: Client, server: MailServer) -> None:
    User.objects.create_superuser("boss", ADA, PASSWORD)
    client.post("/reset-password/", {"email": ADA})
    assert letters(server, ADA) == []


def test_another_address_counts_once_it_is_confirmed(server: MailServer) -> None:
    browser, new = with_account(server), "ada@reader.example"
    form = {"email": new, "action_add": "1"}
    for password in ("", "no"):
        assert browser.post("/account/email/", {**form, "password": password}).status_code == 422
    assert browser.post("/account/email/", {**form, "password": PASSWORD}).status_code == 302
    assert "We have written to <strong>ada@reader.example" in browser.get("/account/email/").content.decode()
    assert (sign_in(Client()), sign_in(Client(), new)) == (True, False)
    Client().post("/reset-password/", {"email": new})
    assert not any("reset-password/" in letter for letter in letters(server, new))
    browser.post(link(server, new, "confirm-address"))
    assert (sign_in(Client()), sign_in(Client(), new)) == (False, True)
    assert f"another address from now on: {new}" in letters(server, ADA)[-1]


@pytest.mark.security
def test_an_address_of_somebody_else_is_not_taken_over(server: MailServer) -> None:
    with_account(server)
    thief = with_account(server, "thief@example.com")
    answer = thief.post("/account/email/", {"email": ADA, "password": PASSWORD, "action_add": "1"})
    assert answer.status_code == 302, "as for any other address"
    page = thief.post(link(server, ADA, "confirm-address"), follow=True).content.decode()
    assert "belongs to another account already" in page
    assert EmailAddress.objects.get(email=ADA, verified=True).user != thief.get("/").wsgi_request.user


def test_accounts_of_before_sign_in_by_name_or_address(client: Client) -> None:
    """XD2: also where two share an address, which then tells neither."""
    User.objects.create_user("Ada", "Ada@Example.com", PASSWORD)
    assert all(sign_in(Client(), login) for login in ("Ada", "ADA", ADA, "ADA@EXAMPLE.COM"))
    User.objects.create_user("Bo", ADA, PASSWORD)
    assert [sign_in(Client(), login) for login in ("ada", "bo", ADA)] == [True, True, False]


def test_a_password_is_changed_by_who_knows_it(server: MailServer) -> None:
    browser, other = with_account(server), Client()
    assert sign_in(other)
    fields = {"oldpassword": "no", "password1": ANOTHER, "password2": ANOTHER}
    assert browser.post("/account/password/", fields).status_code == 422
    assert browser.post("/account/password/", {**fields, "oldpassword": PASSWORD})["Location"] == "/account/"
    assert browser.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302
    assert "was changed just now" in letters(server, ADA)[-1]


@pytest.mark.security
def test_passwords_are_not_guessed_behind_the_sign_in_either(server: MailServer) -> None:
    """A session that was left open is no way to the password; and the pages share one count with the sign-in."""
    browser = with_account(server)
    fields = {"oldpassword": "no", "password1": ANOTHER, "password2": ANOTHER}
    answers = [browser.post("/account/password/", fields).status_code for _ in range(4)]
    answers += [browser.post("/account/delete/", {"password": "no"}).status_code for _ in range(2)]
    assert answers == [422] * 5 + [429]


@pytest.mark.security
def test_no_mailbox_is_filled(server: MailServer) -> None:
    """One address gets a few mails, whoever asks; one network asks a few times, for whatever address."""
    with_account(server)
    for number in range(8):
        Client().post("/reset-password/", {"email": ADA}, REMOTE_ADDR=f"192.0.2.{number}")
    assert len(letters(server, ADA)) == limits.ADDRESS_MAILS.burst
    answers = [
        Client().post("/reset-password/", {"email": f"{number}@example.com"}, REMOTE_ADDR="198.51.100.1").status_code
        for number in range(limits.ACCOUNT_MAILS.burst + 1)
    ]
    assert answers == [302] * limits.ACCOUNT_MAILS.burst + [429]


def test_mails_wait_for_a_mail_server_that_is_away(client: Client, settings: Any) -> None:
    """The page does not wait; what is refused for good goes."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert sign_up(client).status_code == 302
    assert sign_up(client, "no@example.com").status_code == 302
    mails.send_due()
    assert AccountMail.objects.count() == 2
    AccountMail.objects.update(next_attempt_at="2020-01-01T00:00Z")
    with mail_server.serving(settings) as server:
        server.refused = {"no@": "550 no such user"}
        assert "Confirm your address" in letters(server, ADA)[0]
    assert AccountMail.objects.count() == 0


def test_an_account_of_before_confirms_its_address(server: MailServer) -> None:
    browser = Client()
    User.objects.create_user("Ada", ADA, PASSWORD)
    assert sign_in(browser)
    browser.post("/account/email/", {"email": ADA, "action_add": "1"})
    browser.post(link(server, ADA, "confirm-address"))
    assert EmailAddress.objects.get(verified=True, primary=True).email == ADA
