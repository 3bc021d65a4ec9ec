"""The waiting room for visitors: the page, which needs no JavaScript, and the JSON form."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from shop.books import pricing
from shop.flashsales.flash_sales import Phase as SalePhase
from shop.limits import limits
from shop.models import FlashSaleBook
from shop.site import problems
from shop.site.same_origin import same_origin
from shop.waiting_room import admission, places, rooms, scripts, tokens, words
from shop.waiting_room.admission import Phase, Snapshot
from shop.waiting_room.places import Place
from shop.waiting_room.rooms import Room

REFRESH_SECONDS = 10
RETRY_AFTER_SECONDS = 5
_COOKIE_SECONDS = 24 * 3600


class PlaceState(msgspec.Struct, frozen=True, kw_only=True):
    """A visitor's place and the queue, as JSON; times in ISO 8601."""

    sale: int
    name: str
    phase: str
    """closed, before, idle, open, paused, mending, over or ended."""
    state: str
    """none, before, waiting, admitted, buying, bought, failed, passed, told, free or ended."""
    heading: str
    sentence: str
    place: str
    """The place's id, which stands on the draw."""
    token: str
    """Send it in the header Waiting-Place, here and with an order."""
    number: int | None
    """By which it is served, the smallest first; null before the draw. The socket says up to which."""
    ahead: int | None
    """How many are before this place; null before the draw."""
    estimate_seconds: int | None
    """Until its turn, if it goes on as in the last minute; null where that cannot be said."""
    until: datetime | None
    """Until when an order may be placed."""
    seconds_left: float
    epoch: str
    served: int
    restored: int
    waiting: int
    free: int
    held: int
    starts_at: datetime
    ends_at: datetime
    seed_sha256: str
    seed: str | None
    """Once the sale has started."""
    live_url: str


_encode = msgspec.json.Encoder().encode


@never_cache
@same_origin
@require_http_methods(["GET", "HEAD", "POST"])
def waiting_room_page(request: HttpRequest, sale_id: int) -> HttpResponse:
    """How it stands for this visitor; a POST asks for a place."""
    room = rooms.find(sale_id)
    if room is None:  # switched off, or over long ago
        row = FlashSaleBook.objects.filter(sale_id=sale_id).select_related("book").first()
        if row is None:
            raise Http404
        return HttpResponseRedirect(row.book.get_absolute_url())
    try:
        snapshot = look(room)
        if request.method == "POST":
            return _asked(request, room, snapshot)
        place = places.find(request, room, snapshot)
    except admission.Unreachable:
        return _unreachable_page(request, room)
    if "place" in request.GET:  # a link from another browser
        return _with_cookie(redirect("waiting_room", sale_id), request, room, place)
    return _with_cookie(_page(request, room, snapshot, place), request, room, place)


@never_cache
@same_origin
def api_place(request: HttpRequest, sale_id: int) -> HttpResponse:
    """GET reads a place (header Waiting-Place, or its cookie), POST asks for one; see `PlaceState`.

    Errors are problem details: 404 the sale has no waiting room, 405, 409 it gives no places now, 429 too many from one
    network, 503 Redis is away.
    """
    if request.method not in ("GET", "HEAD", "POST"):
        response = problems.Problem(405, "method_not_allowed", "Use GET or POST here.").response()
        response["Allow"] = "GET, HEAD, POST"
        return response
    room = rooms.find(sale_id)
    if room is None:
        return problems.Problem(404, "not_found", "This sale has no waiting room.").response()
    try:
        snapshot = look(room)
        find: Callable[..., Place | None] = places.ask if request.method == "POST" else places.find
        place = find(request, room, snapshot)
    except places.NoPlaces as refused:
        return problems.Problem(409, "no_places", str(refused)).response()
    except limits.Refused as refused:
        return _retry(problems.Problem(429, "too_many_requests", str(refused)), refused.retry_after_seconds)
    except admission.Unreachable:
        sentence = "The queue cannot be reached. Your place is kept in its token; try again."
        return _retry(problems.Problem(503, "unavailable", sentence), RETRY_AFTER_SECONDS)
    body = _encode(_state(request, room, snapshot, place))
    return _with_cookie(HttpResponse(body, content_type="application/json"), request, room, place)


def look(room: Room) -> Snapshot:
    """How it stands; the first look after the start keeps the draw.

    Raises:
        shop.waiting_room.admission.Unreachable: Redis is away.
    """
    snapshot = admission.look(room)
    if room.has_started and not room.is_drawn:
        try:
            rooms.keep_draw(room, scripts.drawn_places(room.sale_id))
        except admission.UNREACHABLE as error:
            raise admission.Unreachable from error
    return snapshot


def _asked(request: HttpRequest, room: Room, snapshot: Snapshot) -> HttpResponse:
    try:
        place = places.ask(request, room, snapshot)
    except places.NoPlaces as refused:
        return _page(request, room, snapshot, None, error=str(refused), status=409)
    except limits.Refused as refused:
        response = _page(request, room, snapshot, None, error=str(refused), status=429)
        response["Retry-After"] = str(refused.retry_after_seconds)
        return response
    return _with_cookie(HttpResponseRedirect(request.path), request, room, place)


def _page(
    request: HttpRequest, room: Room, snapshot: Snapshot, place: Place | None, *, error: str = "", status: int = 200
) -> HttpResponse:
    is_let_in = (place is not None and place.state in ("admitted", "free")) or snapshot.phase is Phase.IDLE
    context = {
        "room": room,
        "queue": snapshot,
        "place": place,
        "words": words.words_for(room, snapshot, place),
        "number": _number(room, place),
        "minutes": _minutes(words.estimate_seconds(snapshot, place)),
        "seconds_left": round(_seconds_left(place)),
        "may_ask": _may_ask(snapshot, place),
        "offers": _offers(room) if is_let_in else [],
        "error": error,
        "refresh_seconds": REFRESH_SECONDS,
        "left": words.can_come(snapshot),
        "shows_numbers": snapshot.phase in (Phase.OPEN, Phase.PAUSED, Phase.MENDING),
    }
    return render(request, "shop/waiting_room.html", context, status=status)


def _may_ask(snapshot: Snapshot, place: Place | None) -> bool:
    is_without = place is None or place.state in ("passed", "failed")
    return is_without and snapshot.phase not in (Phase.CLOSED, Phase.OVER, Phase.ENDED)


def _offers(room: Room) -> list[pricing.Offer]:
    skus = FlashSaleBook.objects.filter(sale_id=room.sale_id).values_list("book__isbn", flat=True)
    offers = pricing.offers(list(skus)).values()
    return [offer for offer in offers if offer.phase(timezone.now()) is SalePhase.RUNNING]


def _unreachable_page(request: HttpRequest, room: Room) -> HttpResponse:
    context = {"room": room, "refresh_seconds": RETRY_AFTER_SECONDS}
    response = render(request, "shop/waiting_room_away.html", context, status=503)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _minutes(seconds: int | None) -> int | None:
    return None if seconds is None else max(1, round(seconds / 60))


def _number(room: Room, place: Place | None) -> int | None:
    return place.token.number_in(room.seed) if place and room.has_started else None


def _seconds_left(place: Place | None) -> float:
    return max(0.0, place.until_ms / 1000 - timezone.now().timestamp()) if place else 0.0


def _state(request: HttpRequest, room: Room, snapshot: Snapshot, place: Place | None) -> PlaceState:
    said = words.words_for(room, snapshot, place)
    host, secure = request.get_host(), "s" if request.is_secure() else ""
    live_host = f"{host.rpartition(':')[0] or host}:{settings.LIVE_PORT}" if settings.LIVE_PORT else host
    return PlaceState(
        sale=room.sale_id,
        name=room.name,
        phase=snapshot.phase,
        state=place.state if place else "none",
        heading=said.heading,
        sentence=said.sentence,
        place=place.token.place if place else "",
        token=str(place.token) if place else "",
        number=_number(room, place),
        ahead=place.ahead if place else None,
        estimate_seconds=words.estimate_seconds(snapshot, place),
        until=datetime.fromtimestamp(place.until_ms / 1000, UTC) if place and place.until_ms else None,
        seconds_left=_seconds_left(place),
        epoch=place.epoch if place else snapshot.epoch,
        served=place.served if place else snapshot.served,
        restored=place.restored if place else snapshot.restored,
        waiting=snapshot.waiting,
        free=snapshot.free,
        held=snapshot.held,
        starts_at=room.starts_at,
        ends_at=room.ends_at,
        seed_sha256=room.commitment,
        seed=room.seed if room.has_started else None,
        live_url=f"ws{secure}://{live_host}/live/room/{room.sale_id}/",
    )


def _with_cookie(response: HttpResponse, request: HttpRequest, room: Room, place: Place | None) -> HttpResponse:
    """The response with the token, where the visitor has not got it yet."""
    name = tokens.cookie_name(room.sale_id)
    if place is not None and request.COOKIES.get(name) != str(place.token):
        left = int((room.ends_at - timezone.now()).total_seconds())
        response.set_cookie(
            name,
            str(place.token),
            max_age=max(0, left) + _COOKIE_SECONDS,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    return response


def _retry(problem: problems.Problem, seconds: int) -> HttpResponse:
    response = problem.response()
    response["Retry-After"] = str(seconds)
    return response
