"""The client of the sandbox gateway, which is a process of its own (`payments/sandbox`); reached over HTTP."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings

from payments.gateways import (
    Answer,
    Declined,
    NotGenuine,
    Payment,
    PaymentStatus,
    RequiresAction,
    Succeeded,
    Unknown,
    WebhookEvent,
    http_pool,
    signatures,
)
from payments.sandbox import hooks
from payments.sandbox.cards import TEST_CARDS, TestCard

__all__ = ["TEST_CARDS", "SandboxGateway", "TestCard"]

SIGNATURE_HEADER = hooks.HEADER
STATEMENT_PAGE = 500


class NoAnswer(Exception):
    """The bank did not answer, or not in a way that can be trusted."""


class NotThere(Exception):
    """The bank says that it knows of no such payment or refund."""


class SandboxGateway:
    """Calls the bank over HTTP; it may be used by many threads at a time."""

    def __init__(self, transport: http_pool.Transport | None = None) -> None:
        """Without a transport, over the network to `settings.SANDBOX_URL`."""
        self._transport = transport or http_pool.HttpPool(
            settings.SANDBOX_URL,
            timeout_seconds=settings.PAYMENT_TIMEOUT_SECONDS,
            keep=settings.PAYMENT_CONCURRENT_CALLS,
        )

    # -- Money ------------------------------------------------------------------------------------
    def authorize(self, *, key: str, amount_minor: int, currency: str, payment_method: str, return_url: str) -> Answer:
        """Set this much aside on a test card."""
        contents = {
            "amount_minor": amount_minor,
            "currency": currency,
            "payment_method": payment_method,
            "return_url": return_url,
        }
        try:
            return _as_answer(_payment(self._post("/v1/payments", key, contents)))
        except (NoAnswer, NotThere) as error:
            return Unknown(str(error))

    def capture(self, *, key: str, transaction_id: str, amount_minor: int) -> Answer:
        """Take what was authorized."""
        return self._settled(f"/v1/payments/{transaction_id}/capture", key, {"amount_minor": amount_minor})

    def void(self, *, key: str, transaction_id: str) -> Answer:
        """Let an authorization go."""
        return self._settled(f"/v1/payments/{transaction_id}/void", key, {})

    def refund(self, *, key: str, transaction_id: str, amount_minor: int) -> Answer:
        """Give back this much of a captured payment."""
        return self._settled("/v1/refunds", key, {"transaction_id": transaction_id, "amount_minor": amount_minor})

    # -- Looking ----------------------------------------------------------------------------------
    def find(self, *, key: str, transaction_id: str = "") -> Payment | Unknown | None:
        """The payment that was authorized with this key."""
        try:
            return _payment(self._get("/v1/payments", {"key": key}))
        except NotThere:
            return None
        except NoAnswer as error:
            return Unknown(str(error))

    def find_refund(self, *, key: str, transaction_id: str) -> Succeeded | Declined | Unknown | None:
        """What became of the refund with this key."""
        try:
            return _as_settled(self._get("/v1/refunds", {"key": key, "transaction_id": transaction_id}))
        except NotThere:
            return None
        except NoAnswer as error:
            return Unknown(str(error))

    def statement(self, *, since: datetime) -> Iterator[Payment]:
        """Every payment begun since then, a page at a time.

        Raises:
            OSError: the bank does not answer.
        """
        after: int | None = 0
        while after is not None:
            query = {"since": since.timestamp(), "after": after, "limit": STATEMENT_PAGE}
            try:
                page = self._get("/v1/statement", query)
                payments = [_payment(row) for row in _field(page, "payments", list)]
            except (NoAnswer, NotThere) as error:
                raise ConnectionError(f"the sandbox gateway gives no statement: {error}") from error
            yield from payments
            following = page.get("next")
            after = following if isinstance(following, int) else None

    def read_webhook(self, *, body: bytes, headers: Mapping[str, str]) -> WebhookEvent | None:
        """What a webhook says.

        Raises:
            NotGenuine: the signature is missing, wrong or too old, or the body cannot be read.
        """
        header = next((value for name, value in headers.items() if name.lower() == SIGNATURE_HEADER.lower()), "")
        signatures.verify(body, header, secrets=settings.PAYMENT_WEBHOOK_SECRETS)
        try:
            event = json.loads(body)
            data = event["data"]
            if not str(event["type"]).startswith("payment."):
                return None
            return WebhookEvent(
                event_id=str(event["id"]),
                kind=str(event["type"]),
                transaction_id=str(data["transaction_id"]),
                key=str(data["key"]),
                at=datetime.fromtimestamp(int(event["created"]), UTC),
            )
        except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError) as error:
            raise NotGenuine(f"the body cannot be read: {error!r}") from error

    # -- Calls ------------------------------------------------------------------------------
    def _settled(self, path: str, key: str, contents: Mapping[str, object]) -> Answer:
        try:
            return _as_settled(self._post(path, key, contents))
        except NotThere as error:
            return Declined(str(error))
        except NoAnswer as error:
            return Unknown(str(error))

    def _post(self, path: str, key: str, contents: Mapping[str, object]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return self._call("POST", path, json.dumps(contents).encode(), headers)

    def _get(self, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        return self._call("GET", f"{path}?{urlencode(query)}", b"", {})

    def _call(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """The answer's JSON object.

        Raises:
            NoAnswer: whatever happened to the call, nobody knows.
            NotThere: the bank does not know what the call is about.
        """
        try:
            reply = self._transport.call(method, path, body=body, headers=headers)
            answer = json.loads(reply.body)
        except (OSError, ValueError) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}"[:280]) from error
        if reply.status == 200 and isinstance(answer, dict):
            return answer
        code, message = _read_error(answer)
        # Only in the bank's own words: a 404 of a proxy, or of a wrong address, says nothing about a payment.
        if reply.status == 404 and code.startswith("no_such_"):
            raise NotThere(message)
        raise NoAnswer(f"answered {reply.status} {code}: {message}"[:280])


# -- What the bank says -------------------------------------------------------------------------------
def _as_answer(payment: Payment) -> Answer:
    """A payment as the answer to its authorization; what was done with it since does not change that one."""
    match payment.standing:
        case PaymentStatus.ACTION:
            return RequiresAction(payment.transaction_id, payment.url)
        case PaymentStatus.DECLINED:
            return Declined(payment.reason)
        case _:
            return Succeeded(payment.transaction_id)


def _as_settled(entry: Mapping[str, Any]) -> Succeeded | Declined:
    if declined := _field(entry, "declined", str):
        return Declined(declined)
    of_payment = _field(entry, "kind", str) != "refund"
    return Succeeded(_field(entry, "transaction_id" if of_payment else "id", str))


def _payment(answer: Any) -> Payment:
    try:
        return Payment(
            key=_field(answer, "key", str),
            transaction_id=_field(answer, "transaction_id", str),
            standing=PaymentStatus(_field(answer, "standing", str)),
            amount_minor=_field(answer, "amount_minor", int),
            currency=_field(answer, "currency", str),
            captured_minor=_field(answer, "captured_minor", int),
            refunded_minor=_field(answer, "refunded_minor", int),
            reason=_field(answer, "reason", str),
            url=_field(answer, "url", str),
        )
    except ValueError as error:
        raise NoAnswer(f"answered something else: {error}") from error


def _field(answer: Any, name: str, kind: type[Any]) -> Any:
    value = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(value, kind):
        raise NoAnswer(f"answered something else: no {name} in it")
    return value


def _read_error(answer: object) -> tuple[str, str]:
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return "", "not in the bank's words"
    return str(error.get("code", "")), str(error.get("message", ""))
