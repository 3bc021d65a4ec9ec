"""The page /kafka/break/: break a part for a while, see what is affected, and see it undone by itself."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from devtools.demo_control import channel
from devtools.demo_control.acts import ACTS, SECONDS_MAX, SECONDS_MIN
from devtools.demo_pages import affected
from devtools.demo_pages.guard import from_this_machine


@from_this_machine
@require_http_methods(["GET", "HEAD", "POST"])
def break_page(request: HttpRequest) -> HttpResponse:
    """Shows what is broken and what that does; a POST breaks something, or undoes it."""
    if request.method == "POST":
        try:
            channel.ask(_request(request))
        except (channel.Refused, channel.NoDemo) as error:
            return render(request, "demo_pages/break.html", _state() | _forms() | {"problem": str(error)}, status=409)
        return redirect("kafka_break")
    if "part" in request.GET:
        return render(request, "demo_pages/_broken.html", _state())
    return render(request, "demo_pages/break.html", _state() | _forms())


def _request(request: HttpRequest) -> dict[str, Any]:
    """What the form asks for.

    Raises:
        Refused: numbers that are none.
    """
    try:
        if "undo" in request.POST:
            return {"do": "undo", "id": int(request.POST["undo"])}
        seconds = int(request.POST.get("seconds", ""))
    except ValueError as error:
        raise channel.Refused(f"Choose {SECONDS_MIN} to {SECONDS_MAX} seconds.") from error
    return {
        "do": "break",
        "act": request.POST.get("act", "")[:100],
        "target": request.POST.get("target", "")[:100],
        "seconds": seconds,
    }


def _state() -> dict[str, Any]:
    try:
        breaks, problem = channel.ask({"do": "look"})["breaks"], ""
    except (channel.Refused, channel.NoDemo) as error:
        breaks, problem = {"now": [], "past": [], "targets": [], "not_running": []}, str(error)
    return {"broken": breaks, "problem": problem, "affected": affected.look()}


def _forms() -> dict[str, Any]:
    return {"acts": ACTS, "seconds_min": SECONDS_MIN, "seconds_max": SECONDS_MAX}
