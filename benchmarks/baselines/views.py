"""What the shop's checkout is measured against, in the same server."""

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from benchmarks.baselines import plain
from orders import links, models
from orders.placing import placement
from shop.books import pricing
from shop.checkout import api, ordering, price_check

_decoder = msgspec.json.Decoder(api.OrderRequest)
_encode = msgspec.json.Encoder().encode
_KEY_LENGTH = len(links.key_for(models.new_id()))


@csrf_exempt
def parse(request: HttpRequest) -> HttpResponse:
    """Decode and validate the body as the shop does, and answer as many bytes: the most that this server can do."""
    body = _decoder.decode(request.body)
    return _answer(request, str(body.idempotency_key), "BR-00000-00000", "0" * _KEY_LENGTH)


@csrf_exempt
def orm(request: HttpRequest) -> HttpResponse:
    """Place the same order with the same checks, but with the ORM and in a transaction of its own."""
    body = _decoder.decode(request.body)
    wanted = [price_check.WantedLine(sku=line.sku, quantity=line.quantity) for line in body.lines]
    if found := price_check.differences(wanted):
        raise ordering.Changed(found)
    placed = plain.place(_draft(body, wanted))
    return _answer(request, str(placed.order_id), placed.reference, links.key_for(placed.order_id))


def _draft(body: api.OrderRequest, wanted: list[price_check.WantedLine]) -> placement.Draft:
    offers = pricing.offers([line.sku for line in wanted])
    return placement.Draft(
        idempotency_key=body.idempotency_key,
        lines=tuple(
            placement.DraftLine(
                sku=line.sku,
                title=offers[line.sku].title,
                unit_price_minor=offers[line.sku].price_minor,
                quantity=line.quantity,
            )
            for line in wanted
        ),
        currency=settings.CURRENCY,
        flow=settings.ORDER_FLOW,
        payment_method=body.payment_method,
        name=body.name,
        email=body.email,
        address_line1=body.address_line1,
        address_line2=body.address_line2,
        city=body.city,
        postcode=body.postcode,
        country=body.country,
    )


def _answer(request: HttpRequest, order_id: str, reference: str, key: str) -> HttpResponse:
    host = request.get_host()
    body = {
        "order": order_id,
        "reference": reference,
        "status_url": f"http://{host}/api/orders/{order_id}/?key={key}",
        "live_url": f"ws://{host}/live/orders/{order_id}/?key={key}",
    }
    return HttpResponse(_encode(body), status=201, content_type="application/json")
