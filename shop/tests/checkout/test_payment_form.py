"""The payment part of the checkout form: the sandbox's cards, or Stripe's form."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from devtools.testing.shop.storefront import CONTACT, a_book, api_order, checkout_form, put_in_cart
from events import catalogue
from kafka_bridge import testing
from orders.models import Order
from payments import checks
from payments.gateways.sandbox import TEST_CARDS
from shop.checkout import payment_form
from shop.models import Book

pytestmark = [pytest.mark.money, pytest.mark.django_db(transaction=True)]
# As much of Stripe.js as the page uses; it complains about what Stripe.js would complain about.
STRIPE_JS = """
window.Stripe = (key) => {
  if (!key.startsWith("pk_")) throw new Error("Not a publishable key.");
  return {
    elements: (options) => {
      window.elementsOptions = options;
      const known = ["mode", "amount", "currency", "captureMethod", "paymentMethodCreation",
        "allowedPaymentMethodTypes", "appearance"];
      for (const name of Object.keys(options)) if (!known.includes(name)) throw new Error(`Unknown option ${name}`);
      const heard = {};
      return {
        update: (changed) => { Object.assign(options, changed); },
        create: (kind) => ({
          on: (name, listener) => { heard[name] = listener; },
          mount: (where) => {
            const number = document.createElement("input");
            number.id = "number";
            number.setAttribute("aria-label", `${kind}: card number`);
            number.addEventListener("input", () => heard.change?.({}));
            document.querySelector(where).append(number);
            heard.ready?.();
          },
        }),
        submit: async () => document.querySelector("#number").value
          ? {} : { error: { message: "Your card number is incomplete." } },
      };
    },
    createPaymentMethod: async ({ elements, params }) => {
      window.made = (window.made ?? 0) + 1;
      window.billing = params.billing_details;
      if (document.querySelector("#number").value === "offline") throw undefined;
      if (document.querySelector("#number").value !== "4242") return { error: { message: "Your card was declined." } };
      return { paymentMethod: { id: "pm_1TheBrowser" } };
    },
  };
};
"""


@pytest.fixture
def by_stripe(settings: Any) -> None:
    """Stripe is the gateway."""
    settings.PAYMENT_GATEWAY = checks.STRIPE
    settings.STRIPE_PUBLISHABLE_KEY = "pk_test_of_the_shop"


def policy(response: Any, directive: str) -> list[str]:
    """The sources that a directive allows."""
    parts = [part.split() for part in response["Content-Security-Policy"].split(";")]
    return next((sources for name, *sources in parts if name == directive), [])


# -- the sandbox ---------------------------------------------------------------------------------------------------
def test_the_usual_cards_come_first(client: Client) -> None:
    put_in_cart(client, a_book())
    page = client.get("/checkout/").content.decode()
    first, _, rest = page.partition("<details")
    for card in TEST_CARDS:
        assert f'data-card="{card.token}"' in (first if card.is_common else rest)
    assert first.count("checked") == 1
    assert "open" not in rest.partition(">")[0]
    assert "stripe" not in page.lower()


def test_a_card_chosen_among_the_others_stays_chosen(client: Client) -> None:
    put_in_cart(client, a_book())
    page = client.post("/checkout/", checkout_form(client, payment_method="pm_slow", city="")).content.decode()
    assert '<details class="pay-more" open>' in page
    assert re.search(r'value="pm_slow" required\s+checked', page)


@pytest.mark.parametrize(
    ("token", "sentence"),
    [("", "Choose a card to pay with."), ("pm_1Real", "Choose one of these cards."), ("x" * 500, "Choose one of")],
)
def test_the_sandbox_takes_its_own_cards_only(client: Client, token: str, sentence: str) -> None:
    put_in_cart(client, a_book())
    response = client.post("/checkout/", checkout_form(client, payment_method=token))
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert Order.objects.count() == 0


def test_nothing_of_stripe_is_allowed_without_stripe(client: Client) -> None:
    put_in_cart(client, a_book())
    assert "stripe" not in client.get("/checkout/")["Content-Security-Policy"]


# -- Stripe --------------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("by_stripe")
def test_stripes_form_is_shown_and_allowed_there_only(client: Client) -> None:
    put_in_cart(client, a_book(price_minor=1999), 2)
    response = client.get("/checkout/")
    page = response.content.decode()
    assert 'data-key="pk_test_of_the_shop" data-amount="3998" data-currency="usd"' in page
    assert "data-card=" not in page
    assert "please switch on JavaScript" in page
    assert "test cards" not in page
    assert "https://js.stripe.com" in policy(response, "script-src")
    assert policy(response, "frame-src") == [
        "https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com"
    ]  # fmt: skip
    assert "https://api.stripe.com" in policy(response, "connect-src")
    assert "'self'" in policy(response, "connect-src")
    assert "stripe" not in client.get("/")["Content-Security-Policy"]


@pytest.mark.usefixtures("by_stripe")
def test_the_token_goes_on_with_the_order(client: Client) -> None:
    put_in_cart(client, a_book())
    assert client.post("/checkout/", checkout_form(client, payment_method="pm_1Abc")).status_code == 302
    [event] = testing.stated(catalogue.OrderCreated)
    assert isinstance(event, catalogue.OrderCreated)
    assert event.payment_method == Order.objects.get().payment_method == "pm_1Abc"


@pytest.mark.usefixtures("by_stripe")
@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        ("", "Please enter your card."),
        ("4242424242424242", "Please enter your card again."),
        ("tok_visa", "Please enter your card again."),
        ("pm_1/../x", "Please enter your card again."),
        ("pm_" + "1" * 100, "Please enter your card again."),
        ("pm_1\u0661", "Please enter your card again."),
    ],
)
def test_what_is_no_token_of_stripes_is_refused(client: Client, token: str, sentence: str) -> None:
    put_in_cart(client, a_book())
    response = client.post("/checkout/", checkout_form(client, payment_method=token))
    page = response.content.decode()
    assert response.status_code == 422
    assert f'<p class="field-error" id="id_payment_method_error">{sentence}</p>' in page
    assert 'name="payment_method" value=""' in page
    assert Order.objects.count() == 0


@pytest.mark.usefixtures("by_stripe")
def test_a_card_that_was_entered_is_kept_when_something_else_is_wrong(client: Client) -> None:
    put_in_cart(client, a_book())
    response = client.post("/checkout/", checkout_form(client, payment_method="pm_1Abc", city=""))
    assert response.status_code == 422
    assert 'name="payment_method" value="pm_1Abc"' in response.content.decode()
    assert "https://js.stripe.com" in policy(response, "script-src")


@pytest.mark.usefixtures("by_stripe")
def test_without_the_database_the_card_is_kept(client: Client, request: pytest.FixtureRequest) -> None:
    put_in_cart(client, a_book())
    form = checkout_form(client, payment_method="pm_1Abc")
    request.getfixturevalue("database_away")
    response = client.post("/checkout/", form)
    page = response.content.decode()
    assert response.status_code == 503
    assert 'name="payment_method" value="pm_1Abc"' in page
    assert "https://js.stripe.com" in policy(response, "script-src")
    assert "sandbox" not in page


@pytest.mark.usefixtures("by_stripe")
def test_programs_send_stripes_tokens_too(client: Client) -> None:
    refused = client.post(
        "/api/orders/", api_order(a_book(), payment_method="pm success"), content_type="application/json"
    )
    assert refused.json()["error"]["message"] == "Expected the id of a payment method of Stripe, pm_…."
    taken = client.post("/api/orders/", api_order(a_book(), payment_method="pm_1Abc"), content_type="application/json")
    assert taken.status_code == 201


# -- Stripe in a browser --------------------------------------------------------------------------------------------
@pytest.fixture
def book() -> Book:
    """Something to buy."""
    return a_book(price_minor=1999)


@pytest.fixture
def checkout(page: Page, live_server: LiveServer, by_stripe: None, book: Book) -> Iterator[Page]:
    """The form, filled in but for the card, with our Stripe.js in the place of theirs."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if "Security Policy" in message.text else None)
    page.route("https://js.stripe.com/**", answer_with(STRIPE_JS))
    page.goto(f"{live_server.url}{book.get_absolute_url()}")
    page.get_by_role("button", name="Buy now").click()
    fill(page)
    yield page
    assert errors == []


def answer_with(script: str) -> Any:
    def answer(route: Route) -> None:
        assert route.request.url == payment_form.STRIPE_JS
        route.fulfill(body=script, content_type="text/javascript")

    return answer


def fill(page: Page) -> None:
    for name in ("name", "email", "address_line1", "postcode", "city"):
        page.locator(f"[name={name}]").fill(CONTACT[name])
    page.get_by_label("Country").select_option(CONTACT["country"])


def number(page: Page) -> Any:
    return page.get_by_label("payment: card number")


@pytest.mark.browser
def test_the_card_becomes_a_token(checkout: Page) -> None:
    number(checkout).fill("4242")
    options = checkout.evaluate("window.elementsOptions")
    assert {name: options[name] for name in options if name != "appearance"} == {
        "mode": "payment", "amount": 1999, "currency": "usd", "captureMethod": "manual",
        "paymentMethodCreation": "manual", "allowedPaymentMethodTypes": ["card"],
    }  # fmt: skip
    checkout.get_by_role("button", name="Place order").click()
    checkout.wait_for_url("**/orders/*/?key=*")
    assert Order.objects.get().payment_method == "pm_1TheBrowser"


@pytest.mark.browser
@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Your card number is incomplete."),
        ("1", "Your card was declined."),
        ("offline", "Our payment provider could not be reached. Nothing was charged. Please try again."),
    ],
)
def test_what_stripe_says_is_shown_and_can_be_mended(checkout: Page, typed: str, sentence: str) -> None:
    number(checkout).fill(typed)
    button = checkout.get_by_role("button", name="Place order")
    button.click()
    expect(checkout.get_by_role("alert").filter(has_text=sentence)).to_be_visible()
    expect(button).to_be_enabled()
    assert Order.objects.count() == 0
    number(checkout).fill("4242")
    expect(checkout.get_by_text(sentence)).to_be_hidden()
    button.click()
    checkout.wait_for_url("**/orders/*/?key=*")
    assert Order.objects.count() == 1


@pytest.mark.browser
def test_a_kept_card_is_used_or_changed(checkout: Page) -> None:
    number(checkout).fill("4242")
    checkout.locator("[name=city]").fill("")
    checkout.get_by_role("button", name="Place order").click()
    expect(checkout.get_by_text("The card that you have entered is kept.")).to_be_visible()
    expect(number(checkout)).to_have_count(0)
    checkout.get_by_role("button", name="Enter another one").click()
    number(checkout).fill("4242")
    checkout.get_by_role("button", name="Place order").click()
    expect(checkout.get_by_text("The card that you have entered is kept.")).to_be_visible()
    checkout.locator("[name=city]").fill("Ghent")
    checkout.get_by_role("button", name="Place order").click()
    checkout.wait_for_url("**/orders/*/?key=*")
    assert Order.objects.get().payment_method == "pm_1TheBrowser"


@pytest.mark.browser
def test_stripe_cannot_be_loaded(page: Page, live_server: LiveServer, by_stripe: None, book: Book) -> None:
    page.route("https://js.stripe.com/**", lambda route: route.abort())
    page.goto(f"{live_server.url}{book.get_absolute_url()}")
    page.get_by_role("button", name="Buy now").click()
    sentence = page.get_by_text("The card form could not be loaded.")
    expect(sentence).to_be_visible()
    fill(page)
    page.get_by_role("button", name="Place order").click()
    expect(sentence).to_be_visible()
    assert Order.objects.count() == 0
