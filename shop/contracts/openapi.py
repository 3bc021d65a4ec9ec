"""The OpenAPI 3.1 document of the JSON interface; its schemas come from the structs that the views read and write."""

from typing import Any

import msgspec

from orders.queries import OrderSnapshot
from shop.checkout import api
from shop.site import problems
from shop.waiting_room import tokens

Json = dict[str, Any]
JSON = "application/json"
_SCHEMAS = "#/components/schemas/"
# By status: when it is answered, and the codes that it may have.
_PROBLEMS: dict[int, tuple[str, tuple[str, ...]]] = {
    400: ("The body is not JSON.", ("malformed",)),
    404: ("There is no such order, or it is not yours.", ("not_found",)),
    405: ("The address does not take this method.", ("method_not_allowed",)),
    409: ("The key was used for an order with other contents.", ("idempotency_conflict",)),
    413: ("The body is too large.", ("too_large",)),
    415: ("The body is not said to be JSON.", ("not_json",)),
    422: ("A field is wrong, or the shop would have to charge, or send, something else: nothing was ordered.", ()),
    429: ("Too many orders from one network.", ("too_many_requests",)),
    503: ("The shop cannot reach its records: send it again, with the same idempotency key.", ("unavailable",)),
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
}


def document(*, version: str, server: str = "/") -> Json:
    """The document; `server` is where the shop is, as the caller sees it."""
    _, schemas = msgspec.json.schema_components(
        (api.OrderRequest, api.PlacedOrder, OrderSnapshot, problems.ProblemBody), ref_template=_SCHEMAS + "{name}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bookrush: the JSON interface",
            "version": version,
            "description": "Place an order and read how it stands. Errors are problem details (RFC 9457).",
        },
        "servers": [{"url": server}],
        "paths": {"/api/orders/": {"post": _place()}, "/api/orders/{order_id}/": {"get": _read()}},
        "components": {"schemas": _ecma(schemas), "responses": _responses()},
    }


def _place() -> Json:
    return {
        "operationId": "placeOrder",
        "summary": "Place an order",
        "description": "The same idempotency key gives the same order, however often it is sent.",
        "parameters": [
            {
                "name": tokens.HEADER,
                "in": "header",
                "description": "The token of an admitted place, where the waiting room of a sale asks for one.",
                "schema": {"type": "string"},
            }
        ],
        "requestBody": {"required": True, "content": _content(api.OrderRequest)},
        "responses": {
            "201": {"description": "The new order.", "content": _content(api.PlacedOrder)},
            "200": {"description": "The order that this key made before.", "content": _content(api.PlacedOrder)},
            **_refer(400, 405, 409, 413, 415, 422, 429, 503),
        },
    }


def _read() -> Json:
    return {
        "operationId": "readOrder",
        "summary": "Read an order",
        "description": "For its owner, staff, and whoever has its key; `status_url` of a placed order holds it.",
        "parameters": [
            {"name": "order_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}},
            {"name": "key", "in": "query", "description": "The order's key.", "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {"description": "How it stands.", "content": _content(OrderSnapshot)},
            **_refer(404, 405, 503),
        },
    }


def _content(struct: type[msgspec.Struct]) -> Json:
    return {JSON: {"schema": {"$ref": _SCHEMAS + struct.__name__}}}


def _refer(*statuses: int) -> Json:
    return {str(status): {"$ref": f"#/components/responses/problem{status}"} for status in statuses}


def _responses() -> Json:
    found: Json = {}
    for status, (words, codes) in _PROBLEMS.items():
        found[f"problem{status}"] = {
            "description": words + (f" Code: {', '.join(codes)}." if codes else ""),
            "content": {problems.CONTENT_TYPE: {"schema": {"$ref": f"{_SCHEMAS}ProblemBody"}}},
            **({"headers": _RETRY_AFTER} if status in (429, 503) else {}),
        }
    return found


def _ecma(part: Any) -> Any:
    """With patterns as JSON Schema has them, where `^` and `$` are the ends of the whole text."""
    if isinstance(part, dict):
        return {
            key: value.replace(r"\A", "^").replace(r"\Z", "$") if key == "pattern" else _ecma(value)
            for key, value in part.items()
        }
    return [_ecma(item) for item in part] if isinstance(part, (list, tuple)) else part
