"""The JSON interface: placing an order and reading its state, for integrations and load tools."""

import re
from collections.abc import Callable
from functools import cache, wraps
from typing import Annotated, Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from msgspec import Meta

from orders import links, queries
from orders.placing import placement
from orders.placing.placement import LINES_MAX, QUANTITY_MAX
from shop.checkout import contacts, countries, ordering, payment_form, price_check
from shop.limits import limits, visitors
from shop.orderpages import access
from shop.prices import coupons, quotes
from shop.site import problems, shared_answers
from shop.waiting_room import guard, tokens

TOTAL_MAX = LINES_MAX * QUANTITY_MAX * price_check.PRICE_MAX


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many copies of a book."""

    sku: Annotated[str, Meta(pattern=r"\A[0-9]{13}\Z")]
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
    expected_price_minor: Annotated[int, Meta(ge=0, le=price_check.PRICE_MAX)] | None = None
    """If given, the order is refused where one copy costs something else now."""


class OrderRequest(contacts.Contact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of POST /api/orders/; `contacts.clean` says what its texts may hold."""

    idempotency_key: UUID
    lines: Annotated[list[Line], Meta(min_length=1, max_length=LINES_MAX)]
    payment_method: str
    shipping: Annotated[str, Meta(max_length=30)] = ""
    """The code of a way of shipping; without one it is the shop's first one that goes there."""
    coupon: Annotated[str, Meta(max_length=coupons.TYPED_LENGTH)] = ""
    """The code of a coupon."""
    expected_total_minor: Annotated[int, Meta(ge=0, le=TOTAL_MAX)] | None = None
    """If given, the order is refused where it comes to something else, with shipping, tax and coupon."""


class PlacedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an order that was placed."""

    order: UUID
    reference: str
    """What the buyer's mails and pages call it."""
    status_url: str
    """Where its state is read, with its key; whoever has the address may read it."""
    live_url: str
    """The socket that tells each change of it."""


View = Callable[..., HttpResponse]
_decoder = msgspec.json.Decoder(OrderRequest)
_encode = msgspec.json.Encoder().encode


def only(*methods: str) -> Callable[[View], View]:
    """Answer other methods with a problem; Django's own decorator answers them with nothing."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **values: Any) -> HttpResponse:
            if request.method in methods:
                return view(request, *args, **values)
            response = _error(405, "method_not_allowed", f"Use {' or '.join(methods)} here.")
            response["Allow"] = ", ".join(methods)
            return response

        return checked

    return decorate


def paths() -> set[str]:
    """Where orders are placed."""
    return {reverse("api_orders"), reverse("api_orders_bare")}


def read(content_type: str | None, body: bytes) -> OrderRequest | None:
    """The order that was sent; None where it is none, which `place_order` says in words."""
    if not _is_json(content_type):
        return None
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


@csrf_exempt
@only("POST")
def place_order(request: HttpRequest) -> HttpResponse:
    """201 with the new order, 200 with the one that this idempotency key made before.

    Errors are problem details (`shop.site.problems`): 400 no JSON, 415 not said to be JSON, 422 a field is wrong, the
    stock does not suffice, a customer may not have so many, the price is not the expected one, or the sale's waiting
    room asks for a place (`not_admitted`), which the header Waiting-Place brings, 409 the key was used
    for another order, 429 too many from one network, 503 try again with the same key.
    """
    if not _is_json(request.content_type):
        return _error(415, "not_json", "Send JSON, with the header Content-Type: application/json.")
    try:
        body = _decoder.decode(request.body)
    except msgspec.ValidationError as error:
        return _invalid(error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _error(400, "malformed", f"The body is not JSON: {error}. Send one JSON object in UTF-8.")
    try:
        limits.take(request, (limits.ORDERS_NETWORK, visitors.network_of(request)))
        contact = contacts.clean(body)
        coupon = coupons.find(request, body.coupon)
    except contacts.WrongContact as wrong:
        return _error(422, "invalid", str(wrong), field=wrong.field)
    except limits.Refused as refused:
        return _too_many(refused)
    except (OperationalError, InterfaceError):
        return _unavailable()
    if body.country not in countries.CODES:
        return _error(422, "invalid", "Expected an ISO 3166-1 code of two letters, such as DE.", field="country")
    if not payment_form.accepts(body.payment_method):
        return _error(422, "invalid", f"Expected {payment_form.expected()}.", field="payment_method")
    if len({line.sku for line in body.lines}) < len(body.lines):
        return _error(422, "invalid", "Each book may stand on one line only.", field="lines")
    try:
        placed = ordering.place(
            idempotency_key=body.idempotency_key,
            lines=[
                price_check.WantedLine(
                    sku=line.sku, quantity=line.quantity, expected_price_minor=line.expected_price_minor
                )
                for line in body.lines
            ],
            contact=contact,
            payment_method=body.payment_method,
            user_id=None,
            wanted=quotes.Wanted(country=body.country, shipping=body.shipping, code=body.coupon, coupon=coupon),
            expected_total_minor=body.expected_total_minor,
            network=visitors.pseudonym_of(request),
            places=tokens.shown(request),
        )
    except ordering.Changed as changed:
        return _changed(changed)
    except guard.NotAdmitted as refused:
        url = reverse("waiting_room", args=[refused.sale_id])
        return _problem(422, "not_admitted", str(refused), field="lines", sale=refused.sale_id, waiting_room_url=url)
    except placement.IdempotencyConflict:
        return _error(409, "idempotency_conflict", "This idempotency key was used for another order.")
    except placement.CheckoutUnavailable:
        return _unavailable()
    return _answer(201 if placed.created else 200, _links_of(request, placed))


@csrf_exempt  # it changes nothing, and says so to other methods
@never_cache
@only("GET", "HEAD")
def order_state(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The order's snapshot, for its owner, staff and holders of its key; 404 for everybody else."""
    try:
        access.visible_order(request, order_id)
        snapshot = queries.snapshot(order_id)
    except Http404:
        snapshot = None
    except (OperationalError, InterfaceError):
        return _unavailable()
    if snapshot is None:
        return _error(404, "not_found", "There is no such order, or it is not yours.")
    return _answer(200, snapshot)


@cache
def _collection() -> str:
    """The address of all orders; looked up once, because a rush asks for it with every order."""
    return reverse("api_orders")


def _links_of(request: HttpRequest, placed: placement.Placed) -> PlacedOrder:
    key = links.key_for(placed.order_id)
    host, secure = request.get_host(), "s" if request.is_secure() else ""
    live_host = f"{re.sub(r':[0-9]+$', '', host)}:{settings.LIVE_PORT}" if settings.LIVE_PORT else host
    return PlacedOrder(
        order=placed.order_id,
        reference=placed.reference,
        status_url=f"http{secure}://{host}{_collection()}{placed.order_id}/?key={key}",
        live_url=f"ws{secure}://{live_host}/live/orders/{placed.order_id}/?key={key}",
    )


def _invalid(error: msgspec.ValidationError) -> HttpResponse:
    """Name the field: msgspec ends its message with where it was, as in "... - at `$.lines[0].quantity`"."""
    message, _, place = str(error).partition(" - at `$")
    missing = re.search(r"(?:required|unknown) field `(\w+)`", message)
    path = place.rstrip("`").lstrip(".")
    field = ".".join(part for part in (path, missing.group(1) if missing else "") if part)
    return _error(422, "invalid", f"{message}.", field=field)


_FIELDS = {"coupon_refused": "coupon", "not_delivered": "country", "total_changed": "expected_total_minor"}


def _changed(changed: ordering.Changed) -> HttpResponse:
    found = [
        {
            "code": difference.code,
            "sku": difference.sku,
            "message": difference.sentence,
            "left": difference.left,
            "price_minor": difference.price_minor,
        }
        for difference in changed.differences
    ]
    first = found[0]
    field = _FIELDS.get(str(first["code"]), "lines")
    response = _problem(422, str(first["code"]), str(changed), field=field, problems=found)
    if all(each["code"] == "sold_out" for each in found):
        response[shared_answers.IS_SHARED] = "1"  # see `sold_out_door`
    return response


def _unavailable() -> HttpResponse:
    response = _error(503, "unavailable", "The shop cannot reach its records. Try again with the same key.")
    response["Retry-After"] = str(ordering.RETRY_AFTER_SECONDS)
    return response


def _too_many(refused: limits.Refused) -> HttpResponse:
    response = _error(429, "too_many_requests", str(refused))
    response["Retry-After"] = str(refused.retry_after_seconds)
    return response


def _error(status: int, code: str, message: str, *, field: str = "") -> HttpResponse:
    return _problem(status, code, message, **({"field": field} if field else {}))


def _problem(status: int, code: str, message: str, **more: Any) -> HttpResponse:
    return problems.Problem(status, code, message, more).response()


def _is_json(content_type: str | None) -> bool:
    """Also where nothing is said: it can only be JSON."""
    return not content_type or content_type == "application/json" or content_type.endswith("+json")


def _answer(status: int, body: queries.OrderSnapshot | PlacedOrder) -> HttpResponse:
    return HttpResponse(_encode(body), status=status, content_type="application/json")
