"""The page /kafka/experiments/: choose one, say what you expect, watch it, read the verdict."""

import json
import random
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from devtools.demo_control import channel
from devtools.demo_control.experiment_runs import FILE
from devtools.demo_pages import bars
from devtools.demo_pages.guard import from_this_machine
from devtools.experiments import catalogue
from devtools.experiments.plans import BadChoice, Experiment
from devtools.local.state_dir import StateDir

_STATUS_BYTES_MAX = 256 * 1024


@from_this_machine
@require_http_methods(["GET", "HEAD", "POST"])
def experiments_page(request: HttpRequest) -> HttpResponse:
    """Shows what there is, what runs, and what came of the last one; a POST starts or stops one."""
    if request.method == "POST":
        return _start_or_stop(request)
    context = _state()
    if "part" in request.GET:
        return render(request, "demo_pages/_experiment.html", context)
    context |= {"experiments": catalogue.EXPERIMENTS, "chosen": _chosen(request.GET.get("name", ""))}
    return render(request, "demo_pages/experiments.html", context)


def _start_or_stop(request: HttpRequest) -> HttpResponse:
    if request.POST.get("do") == "stop":
        asked: dict[str, Any] = {"do": "stop_experiment"}
    else:
        name, prediction = request.POST.get("name", "")[:100], request.POST.get("prediction", "")[:100]
        seed = random.randrange(1, 1_000_000)  # noqa: S311 - any will do
        asked = {"do": "experiment", "name": name, "prediction": prediction, "seed": seed}
    try:
        channel.ask(asked)
    except (channel.Refused, channel.NoDemo) as error:
        context = _state() | {"problem": str(error), "experiments": catalogue.EXPERIMENTS}
        context["chosen"] = _chosen(request.POST.get("name", ""))
        return render(request, "demo_pages/experiments.html", context, status=409)
    return redirect("kafka_experiments")


def _state() -> dict[str, Any]:
    """What the template needs to know."""
    try:
        is_running = bool(channel.ask({"do": "look"})["experiment"]["is_running"])
        problem = ""
    except (channel.Refused, channel.NoDemo) as error:
        is_running, problem = False, str(error)
    status = _status()
    experiment = _chosen(str(status.get("experiment", "")))
    verdict = status.get("verdict")
    return {
        "is_running": is_running,
        "problem": problem,
        "status": status if experiment else {},
        "experiment": experiment,
        "prediction": experiment.choices.get(status.get("prediction", "")) if experiment else None,
        "percent": round(100 * float(status.get("done", 0))),
        "verdict": verdict,
        "bars": bars.drawn(verdict["bars"]) if verdict else [],
        # It ended without a word: it was killed, or could not even begin.
        "was_lost": bool(status) and not is_running and not verdict and not status.get("error"),
    }


def _status() -> dict[str, Any]:
    """What the running experiment, or the last one, has said of itself."""
    file = StateDir(Path(settings.STATE_DIR)).run / FILE
    try:
        with file.open("rb") as opened:
            said = json.loads(opened.read(_STATUS_BYTES_MAX))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _chosen(name: str) -> Experiment | None:
    try:
        return catalogue.find(name)
    except BadChoice:
        return None
