"""Stripe's double as a process: localstripe, and what it lacks of the version that we talk to.

`python -m devtools.testing.payments.stripe_double` prints its address and serves until it is ended. Added to
localstripe, after Stripe's reference: idempotency keys, `return_url` and the redirect to the bank, the kinds and codes
of errors, lists by time and the newest first, the search by metadata, and `amount_received`. `/_config/trouble` lets
answers get lost.
"""

import asyncio
import importlib
import re
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from localstripe import resources
from localstripe.errors import UserError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# What https://docs.stripe.com/testing calls these cards, as far as they are used here; and their numbers.
CARDS = {
    "pm_card_visa": "4242424242424242",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_authenticationRequired": "4000002500003155",
}
DECLINE_CODES = {"4000000000009995": "insufficient_funds"}


def _app() -> web.Application:
    """localstripe's server, after it was taught what it lacks."""
    # It keeps everything in one file for the whole machine, which tests that run beside each other would share.
    resources.Store.dump_to_disk = lambda self: None
    resources.PaymentIntent.__init__ = _init
    resources.PaymentIntent._confirm = _confirm
    resources.PaymentIntent._api_list_all = classmethod(_list)
    resources.PaymentIntent.amount_received = property(_amount_received)
    resources.PaymentMethod._try_get_canonical_test_article = classmethod(_card)
    resources.PaymentMethod._charging_is_declined = _is_declined
    resources.Refund.__init__ = _refund
    ours = {"/v1/payment_intents/{id}/capture": _capture, "/v1/payment_intents/{id}/cancel": _cancel}
    resources.extra_apis[:] = [(verb, url, ours.get(url, function)) for verb, url, function in resources.extra_apis]
    # Only now, for it makes its routes when it is imported.
    app: web.Application = importlib.import_module("localstripe.server").app
    app.middlewares.insert(0, _trouble)
    app.middlewares.insert(1, _once_per_key)
    # Innermost, for localstripe takes `/v1/payment_intents/search` for the payment of that name.
    app.middlewares.append(_search)
    app.router.add_post("/_config/trouble", _make_trouble)
    app.router.add_post("/_config/forget-keys", _forget_keys)
    return app


# -- PaymentIntents ------------------------------------------------------------------------------------------
_plain_init = resources.PaymentIntent.__init__
_plain_confirm = resources.PaymentIntent._confirm
_plain_refund = resources.Refund.__init__


def _init(self: Any, *, allowed_payment_method_types: Any = None, return_url: str = "", **data: Any) -> None:
    if "payment_method_types" in data:
        raise UserError(400, "Not any more.", {"code": "payment_method_types_no_longer_supported"})
    try:
        _plain_init(self, **data)
    except UserError as error:
        if error.code == 404:
            raise UserError(
                404, f"No such PaymentMethod: '{data['payment_method']}'",
                {"code": "resource_missing", "param": "payment_method"},
            ) from error  # fmt: skip
        raise
    self._return_url = return_url


def _confirm(self: Any, on_failure_now: Any) -> None:
    try:
        _plain_confirm(self, on_failure_now)
    except UserError as error:
        if error.code == 402:
            number = resources.PaymentMethod._api_retrieve(self.payment_method)._card_number
            error.body["error"] |= {
                "type": "card_error", "code": "card_declined",
                "decline_code": DECLINE_CODES.get(number, "generic_decline"),
            }  # fmt: skip
        raise
    if self.next_action and self._return_url:
        url = f"https://hooks.stripe.com/redirect/{self.id}?return={self._return_url}"
        self.next_action = {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": self._return_url}}


def _unexpected(intent: Any, verb: str) -> UserError:
    return UserError(
        400, f"This PaymentIntent could not be {verb} because it has a status of {intent.status}.",
        {"code": "payment_intent_unexpected_state"},
    )  # fmt: skip


def _capture(id: str, amount_to_capture: Any = None) -> Any:
    intent = resources.PaymentIntent._api_retrieve(id)
    if intent.status != "requires_capture":
        raise _unexpected(intent, "captured")
    intent.latest_charge._capture(amount=amount_to_capture, on_success=intent._on_success)
    return intent


def _cancel(id: str) -> Any:
    intent = resources.PaymentIntent._api_retrieve(id)
    if intent.status not in ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action"):
        raise _unexpected(intent, "canceled")
    intent._canceled, intent.next_action = True, None
    return intent


def _amount_received(self: Any) -> int:
    return self.amount if self.status == "succeeded" else 0


def _list(cls: Any, url: str, *, created: Any = None, limit: Any = None, starting_after: Any = None) -> Any:
    created = created or {}
    earliest, latest = int(created.get("gte", 0)), int(created.get("lte", time.time() + 60))
    found = resources.List(url, limit=limit, starting_after=starting_after)
    mine = [each for key, each in resources.store.items() if key.startswith("payment_intent:")]
    found._list = [each for each in reversed(mine) if earliest <= each.created <= latest]
    return found


@web.middleware
async def _search(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path != "/v1/payment_intents/search":
        return await handler(request)
    wanted = re.fullmatch(r"metadata\['(\w+)'\]:'([^']*)'", request.query["query"])
    if wanted is None:
        raise UserError(400, "Bad query")
    name, value = wanted.groups()
    mine = [each for key, each in resources.store.items() if key.startswith("payment_intent:")]
    data = [each._export(["latest_charge"]) for each in mine if each.metadata.get(name) == value]
    return web.json_response({"object": "search_result", "url": request.path, "has_more": False, "data": data})


def _card(cls: Any, id: str) -> Any:
    if id in CARDS:
        return cls(type="card", card={"number": CARDS[id], "exp_month": "12", "exp_year": "2030", "cvc": "123"})
    return None


def _is_declined(self: Any) -> bool:
    return self._card_number in ("4000000000000341", *DECLINE_CODES)


def _refund(self: Any, payment_intent: str | None = None, amount: Any = None, **data: Any) -> None:
    if payment_intent is not None:
        intent = resources.PaymentIntent._api_retrieve(payment_intent)
        left = intent.amount_received - (intent.latest_charge.amount_refunded if intent.latest_charge else 0)
        if left <= 0:
            raise UserError(400, "Nothing of it is left.", {"code": "charge_already_refunded"})
        if int(amount) > left:
            raise UserError(400, f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})")
    _plain_refund(self, payment_intent=payment_intent, amount=amount, **data)


# -- What every call goes through ----------------------------------------------------------------------------
_answers: dict[str, tuple[bytes, int, bytes]] = {}
_troubles: list[dict[str, Any]] = []


@web.middleware
async def _once_per_key(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The same key answers the same; with another body it is refused. Refused requests leave no trace."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return await handler(request)
    asked = request.path.encode() + await request.read()
    if key in _answers:
        before, status, body = _answers[key]
        if before != asked:
            error = {"type": "idempotency_error", "message": "Keys for idempotent requests can only be used once."}
            return web.json_response({"error": error}, status=400)
        return web.Response(status=status, body=body, content_type="application/json")
    response = await handler(request)
    if isinstance(response, web.Response) and response.status in (200, 402):
        _answers[key] = asked, response.status, bytes(response.body)  # type: ignore[arg-type]
    return response


async def _forget_keys(request: web.Request) -> web.Response:
    """As Stripe does after a day or more."""
    _answers.clear()
    return web.Response()


async def _make_trouble(request: web.Request) -> web.Response:
    """What happens to the next calls: a list of `{"do": "pass"|"refuse"|"lose"|"stall", "status", "seconds"}`."""
    _troubles[:] = await request.json()
    return web.Response()


@web.middleware
async def _trouble(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not _troubles or request.path.startswith("/_config/"):
        return await handler(request)
    trouble = _troubles.pop(0)
    if trouble["do"] == "pass":
        return await handler(request)
    if trouble["do"] == "refuse":
        error = {"type": "api_error", "message": "An error occurred."}
        return web.json_response({"error": error}, status=trouble["status"])
    response = await handler(request)
    if trouble["do"] == "stall":
        await asyncio.sleep(trouble["seconds"])
    elif request.transport is not None:
        request.transport.abort()
    return response


def main() -> None:
    """Serve on a free port of this machine only."""
    app = _app()
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    web.run_app(app, sock=listening, print=None)


if __name__ == "__main__":
    main()
