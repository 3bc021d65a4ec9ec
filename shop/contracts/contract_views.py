"""The contracts for programs of others: both documents, and a page that a person can read."""

from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from shop.contracts import documents, reading

MINUTE = 60


@require_safe
def contracts_page(request: HttpRequest) -> HttpResponse:
    """Topics, events, headers and the JSON interface, read off the documents."""
    events, calls = _document("asyncapi"), _document("openapi")
    context = {
        "version": documents.VERSION,
        "channels": reading.channels(events),
        "copies": reading.copies(events),
        "headers": reading.headers(events),
        "structs": reading.shared_structs(events),
        "calls": reading.calls(calls),
        "compression": next(iter(events["channels"].values()))["x-compression"],
        "partitioner": next(iter(events["channels"].values()))["x-partitioner"],
    }
    return render(request, "contracts/contracts.html", context)


@require_safe
@cache_control(public=True, max_age=MINUTE)
def contract_document(request: HttpRequest, name: str) -> HttpResponse:
    """`asyncapi` or `openapi`, as this shop has it."""
    return HttpResponse(_rendered(name), content_type="application/json")


# What is registered, and the settings, stay as they are for the life of the process.
@cache
def _document(name: str) -> documents.Json:
    return documents.make(name, prefix=settings.KAFKA_BRIDGE.topic_prefix, server=settings.SHOP_URL)


@cache
def _rendered(name: str) -> str:
    return documents.render(_document(name))
