"""The bank's HTTP side: a small JSON API, as gateways have it, and the page on which a buyer confirms a payment.

There is no authentication: it is a toy, and listens on this machine only unless it is told otherwise.
"""

import contextlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.exceptions import Forbidden, HTTPException, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from payments.sandbox import cards, challenges
from payments.sandbox.bank import Bank, CallLost, Carried
from payments.sandbox.books import Entry, Payment
from payments.sandbox.cards import Trouble
from payments.sandbox.rules import Code, Refused

log = logging.getLogger(__name__)

LARGEST_BODY = 16 * 1024
LARGEST_PAGE = 1000
LONGEST_OUTAGE_SECONDS = 3600.0
STATUS = {Code.BAD_REQUEST: 400, Code.KEY_REUSED: 409, Code.NO_SUCH_PAYMENT: 404, Code.NO_SUCH_REFUND: 404}
ROUTES = Map(
    [
        Rule("/v1/payments", methods=["POST"], endpoint="authorize"),
        Rule("/v1/payments/<transaction_id>/capture", methods=["POST"], endpoint="capture"),
        Rule("/v1/payments/<transaction_id>/void", methods=["POST"], endpoint="void"),
        Rule("/v1/refunds", methods=["POST"], endpoint="refund"),
        Rule("/v1/payments", methods=["GET"], endpoint="find"),
        Rule("/v1/payments/<transaction_id>", methods=["GET"], endpoint="show"),
        Rule("/v1/refunds", methods=["GET"], endpoint="find_refund"),
        Rule("/v1/statement", methods=["GET"], endpoint="statement"),
        Rule("/", methods=["GET"], endpoint="front"),
        Rule("/challenges/<transaction_id>", methods=["GET", "POST"], endpoint="challenge"),
        Rule("/v1/control/outage", methods=["POST"], endpoint="set_outage"),
        Rule("/healthz", methods=["GET"], endpoint="health"),
    ]
)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How the bank behaves towards its callers."""

    public_url: str
    """Where a browser reaches it."""
    latency_seconds: float = 0.0
    slow_seconds: float = 0.0
    stall_seconds: float = 0.0
    """How long it keeps a caller waiting for an answer that never comes."""


class Silence(Exception):
    """This call gets no answer."""


class Server:
    """The WSGI application of one bank."""

    def __init__(self, bank: Bank, manners: Manners) -> None:
        self.bank = bank
        self.manners = manners
        self.outage = Outage()
        self._endpoints: dict[str, Callable[..., Any]] = {
            "authorize": self._call(self._authorize),
            "capture": self._call(self._capture),
            "void": self._call(self._void),
            "refund": self._call(self._refund),
            "find": self._look(self._find),
            "show": self._look(self._show),
            "find_refund": self._look(self._find_refund),
            "statement": self._look(self._statement),
            "front": lambda request: challenges.front(),
            "challenge": self._challenge,
            "set_outage": self._set_outage,
            "health": lambda request: {"status": "ok"},
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        request.max_content_length = LARGEST_BODY
        return self._respond(request)(environ, start_response)

    def _respond(self, request: Request) -> Response:
        try:
            _check_caller(request)
            endpoint, values = ROUTES.bind_to_environ(request.environ).match()
            answer = self._endpoints[endpoint](request, **values)
            return answer if isinstance(answer, Response) else _json(answer)
        except Refused as error:
            return _error(STATUS[error.code], error.code, str(error))
        except Away:
            return _error(503, "outage", "the bank is closed for a while", headers={"Retry-After": "1"})
        except (Silence, CallLost):
            # A caller that still listens after that learns nothing about what was done.
            time.sleep(self.manners.stall_seconds)
            return _error(504, "no_answer", "there is no answer to this call")
        except RequestEntityTooLarge:
            return _error(413, "too_large", f"a body has at most {LARGEST_BODY} bytes")
        except sqlite3.Error:
            log.exception("The ledger failed")
            return _error(500, "ledger", "the bank's ledger cannot be used just now")
        except HTTPException as error:
            return _error(error.code or 500, error.name.lower().replace(" ", "_"), error.description or error.name)

    # -- Money ------------------------------------------------------------------------------------
    def _authorize(self, request: Request) -> dict[str, object]:
        body = _body(request)
        card = _take(body, "payment_method", str)
        self._wait(card)
        carried = self.bank.authorize(
            key=_key(request),
            amount_minor=_take(body, "amount_minor", int),
            currency=_take(body, "currency", str),
            card=card,
            return_url=_take(body, "return_url", str, default=""),
        )
        return self._payment(_told(carried).payment)

    def _capture(self, request: Request, transaction_id: str) -> dict[str, object]:
        amount_minor = _take(_body(request), "amount_minor", int)
        self._wait()
        return _entry(self.bank.capture(key=_key(request), transaction_id=transaction_id, amount_minor=amount_minor))

    def _void(self, request: Request, transaction_id: str) -> dict[str, object]:
        self._wait()
        return _entry(self.bank.void(key=_key(request), transaction_id=transaction_id))

    def _refund(self, request: Request) -> dict[str, object]:
        body = _body(request)
        self._wait()
        return _entry(
            self.bank.refund(
                key=_key(request),
                transaction_id=_take(body, "transaction_id", str),
                amount_minor=_take(body, "amount_minor", int),
            )
        )

    # -- Looking ----------------------------------------------------------------------------------
    def _find(self, request: Request) -> dict[str, object]:
        return self._payment_or_404(self.bank.find(key=request.args.get("key", "")))

    def _show(self, request: Request, transaction_id: str) -> dict[str, object]:
        return self._payment_or_404(self.bank.find(transaction_id=transaction_id))

    def _find_refund(self, request: Request) -> dict[str, object]:
        entry = self.bank.find_refund(key=request.args.get("key", ""))
        if entry is None or entry.transaction_id != request.args.get("transaction_id", entry.transaction_id):
            raise Refused(Code.NO_SUCH_REFUND, "there is no such refund")
        return entry._asdict()

    def _statement(self, request: Request) -> dict[str, object]:
        limit = min(_number(request, "limit", LARGEST_PAGE), LARGEST_PAGE)
        payments = self.bank.statement(
            since=_number(request, "since", 0.0), after=_number(request, "after", 0), limit=limit
        )
        return {
            "payments": [self._payment(payment) for payment in payments],
            "next": payments[-1].seq if len(payments) == limit else None,
        }

    def _payment_or_404(self, payment: Payment | None) -> dict[str, object]:
        if payment is None:
            raise Refused(Code.NO_SUCH_PAYMENT, "there is no such payment")
        return self._payment(payment)

    def _payment(self, payment: Payment) -> dict[str, object]:
        shown = payment._asdict()
        for private in ("seq", "return_url"):
            del shown[private]
        asks = cards.card_of(payment.card).asks_buyer
        return {**shown, "url": f"{self.manners.public_url}/challenges/{payment.transaction_id}" if asks else ""}

    # -- The buyer --------------------------------------------------------------------------------
    def _challenge(self, request: Request, transaction_id: str) -> Response:
        payment = self.bank.find(transaction_id=transaction_id)
        if payment is None or not cards.card_of(payment.card).asks_buyer:
            return challenges.not_found()
        if request.method != "POST":
            return challenges.page(payment)
        answers = {challenges.CONFIRM: self.bank.confirm, challenges.REFUSE: self.bank.refuse}
        answer = answers.get(request.form.get("answer", ""))
        return challenges.way_back(answer(transaction_id)) if answer else challenges.bad_answer()

    # -- Trouble ----------------------------------------------------------------------------------
    def _call(self, endpoint: Callable[..., T]) -> Callable[..., T]:
        """A call that an outage stops before anything is done."""

        def call(request: Request, **values: str) -> T:
            self.outage.check()
            return endpoint(request, **values)

        return call

    _look = _call

    def _wait(self, card: str = "") -> None:
        slow = cards.card_of(card).trouble is Trouble.SLOW
        if seconds := self.manners.slow_seconds if slow else self.manners.latency_seconds:
            time.sleep(seconds)

    def _set_outage(self, request: Request) -> dict[str, object]:
        body = _body(request)
        seconds, mode = _take(body, "seconds", (int, float)), _take(body, "mode", str, default="refuse")
        if not 0 <= seconds <= LONGEST_OUTAGE_SECONDS:
            raise Refused(Code.BAD_REQUEST, f"seconds is from 0 to {LONGEST_OUTAGE_SECONDS:.0f}")
        if mode not in Outage.MODES:
            raise Refused(Code.BAD_REQUEST, f"mode is one of {', '.join(Outage.MODES)}")
        self.outage.begin(seconds, mode)
        return {"seconds": seconds, "mode": mode}


class Away(Exception):
    """There is an outage; calls are refused."""


class Outage:
    """A window in which no call is carried out; it does not outlive the process."""

    MODES = ("refuse", "stall")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until, self._mode = 0.0, ""

    def begin(self, seconds: float, mode: str) -> None:
        """From now on and for so long; 0 ends it."""
        with self._lock:
            self._until, self._mode = time.monotonic() + seconds, mode

    def check(self) -> None:
        """Pass, unless there is an outage.

        Raises:
            Away: calls are refused.
            Silence: calls are not answered.
        """
        with self._lock:
            until, mode = self._until, self._mode
        if time.monotonic() < until:
            raise Away if mode == "refuse" else Silence


# -- What came in --------------------------------------------------------------------------------------
def _check_caller(request: Request) -> None:
    """The API is for programs: a page that a browser shows may not call it, whatever site it is from.

    Without this, any site could switch the bank of its visitor off. Calls about money have a header of their own, with
    which no page can send a form; where there is none, the content type has to be one that a form does not have.
    """
    if request.method == "GET" or not request.path.startswith("/v1/"):
        return
    if "Origin" in request.headers:
        raise Forbidden("this API is not for pages in a browser: call it from a program, without the header Origin")
    if request.path.startswith("/v1/control/") and request.mimetype != "application/json":
        raise UnsupportedMediaType("send JSON, with the header Content-Type: application/json")


def _key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise Refused(Code.BAD_REQUEST, "the header Idempotency-Key is missing")
    return key


def _body(request: Request) -> Mapping[str, Any]:
    with contextlib.suppress(ValueError):
        body = json.loads(request.get_data(cache=False) or b"{}")
        if isinstance(body, dict):
            return body
    raise Refused(Code.BAD_REQUEST, "the body is no JSON object")


def _take(body: Mapping[str, Any], name: str, kind: Any, *, default: Any = None) -> Any:
    value = body.get(name, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Refused(Code.BAD_REQUEST, f"{name} is missing, or of the wrong kind")
    return value


def _number(request: Request, name: str, default: Any) -> Any:
    try:
        return type(default)(request.args.get(name, default))
    except ValueError as error:
        raise Refused(Code.BAD_REQUEST, f"{name} is no number") from error


# -- What goes out -------------------------------------------------------------------------------------
def _told(carried: Carried) -> Carried:
    if carried.is_lost:
        raise Silence
    return carried


def _entry(carried: Carried) -> dict[str, object]:
    entry = _told(carried).entry
    assert isinstance(entry, Entry)  # noqa: S101 - only an authorization can wait for the buyer
    return entry._asdict()


def _json(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json", headers=headers)


def _error(status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> Response:
    return _json({"error": {"code": code, "message": message}}, status=status, headers=headers)
