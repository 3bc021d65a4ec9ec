"""The endpoint for the payment gateway's webhooks."""

import logging

from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from kafka_bridge.publishing import outbox
from payments import gateways, webhooks

log = logging.getLogger(__name__)
BODY_BYTES_MAX = 64 * 1024
RETRY_AFTER_SECONDS = 30


@csrf_exempt
@never_cache
@require_POST
def payment_webhook(request: HttpRequest) -> HttpResponse:
    """Check the signature, store the event, answer; the rest happens elsewhere (Note [A webhook is a hint]).

    200 once it is stored, also if it had been before or is of no interest; 400 it is not from the gateway, 411 and 413
    for bodies of unknown or too great a length, 503 it could not be stored: the gateway sends it again.
    """
    length = request.headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit()):
        # Also for chunked bodies: an unauthenticated client must not be able to make us read without end.
        return _answer(411, "Content-Length is required.")
    if int(length[:20]) > BODY_BYTES_MAX:
        return _answer(413, f"No more than {BODY_BYTES_MAX} bytes.")
    try:
        body = request.body
        event = gateways.current().read_webhook(body=body, headers=request.headers)
        if event is None:
            return _answer(200, "Nothing to do.")
        with transaction.atomic(durable=True), outbox.collect():
            is_new = webhooks.receive(event=event, body=body)
    except UnreadablePostError:
        return _answer(400, "The body broke off.")
    except gateways.NotGenuine as reason:
        log.warning("a webhook was refused: %s", reason)
        return _answer(400, f"Refused: {reason}.")
    except (OperationalError, InterfaceError) as error:
        log.error("a webhook could not be stored, the gateway has to send it again: %s", type(error).__name__)
        response = _answer(503, "It could not be stored. Please send it again.")
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
    return _answer(200, "Stored." if is_new else "Known already.")


def _answer(status: int, sentence: str) -> HttpResponse:
    return HttpResponse(f"{sentence}\n", status=status, content_type="text/plain; charset=utf-8")
