"""What people do to consumer groups from the operations page: pause, resume, have a member come back.

Each is a form that says what it will do, and wants a reason; resetting offsets is in `offset_reset.py`. The activity
log hears of it by the bridge's signals.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from kafka_bridge.consuming import controls
from kafka_bridge.consuming.controls import InvalidControl
from shop.admin.operations import group_act_forms
from shop.admin.site import navigation
from shop.operations.pages import passes

PERMISSION = "kafka_bridge.control_groups"
_SOON = f"within {controls.LOOK_SECONDS + 1:.0f} seconds"


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that people do to groups, and the words for it."""

    name: str
    title: str
    button: str
    explanation: str
    form: type[group_act_forms.ReasonForm]
    carry_out: Callable[[Mapping[str, Any], str], str]
    """Does what the form says, by whom, and says what was done."""
    shows_pauses: bool = True


def _pause(said: Mapping[str, Any], who: str) -> str:
    place = controls.place_of(controls.pause(**_place(said), who=who, reason=said["reason"]))
    return f"{place} is paused; its members notice {_SOON}."


def _resume(said: Mapping[str, Any], who: str) -> str:
    controls.resume(**_place(said), who=who, reason=said["reason"])
    place = controls.Place(**_place(said))
    if holding := controls.still_holding(**_place(said)):
        return f"The pause of {place} is over. It stands still all the same: {holding}"
    return f"{place} goes on; its members notice {_SOON}."


def _rejoin(said: Mapping[str, Any], who: str) -> str:
    controls.ask_to_rejoin(group=said["group"], member_id=said["member"], who=who, reason=said["reason"])
    return f"{said['member']} is asked to leave {said['group']} and come back; it notices {_SOON}."


def _place(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: said[name] for name in ("group", "topic", "partition")}


ACTS = (
    Act(
        name="pause",
        title="Pause a group",
        button="Pause it",
        explanation=f"It stands still {_SOON}, also where members start later, until somebody resumes it. Members stay "
        "in their group and keep their partitions. Nothing is lost: what is written meanwhile waits in Kafka, for as "
        "long as its topic keeps it. Orders that need this group wait, and buyers see that.",
        form=group_act_forms.PlaceForm,
        carry_out=_pause,
    ),
    Act(
        name="resume",
        title="Resume a group",
        button="Resume it",
        explanation=f"It goes on {_SOON} from where it stopped, and works off what has waited. Without a topic, all "
        "pauses of the group end.",
        form=group_act_forms.PlaceForm,
        carry_out=_resume,
    ),
    Act(
        name="rejoin",
        title="Ask a member to leave and come back",
        button="Ask it",
        explanation=f"It finishes what it does, leaves its group {_SOON} and joins it again, and the partitions are "
        "handed out anew. Nothing is lost. It is the gentlest mend for a member that stands still for no reason that "
        "is known. One that does not exist any more is not asked.",
        form=group_act_forms.MemberForm,
        carry_out=_rejoin,
        shows_pauses=False,
    ),
)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def act_view(request: HttpRequest, act: Act) -> HttpResponse:
    """The form, filled in as far as the address says, and what is done with it."""
    check_may(request)
    asked = group_act_forms.asked(act.form(), request.GET.dict())
    form = act.form(request.POST if request.method == "POST" else None, initial=asked)
    if request.method == "POST" and form.is_valid():
        try:
            done = act.carry_out(form.cleaned_data, navigation.person(request).get_username())
        except InvalidControl as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, done)
            return HttpResponseRedirect(afterwards(request))
    pauses = controls.current() if act.shows_pauses else []
    context = {
        **admin.site.each_context(request),
        "title": act.title,
        "act": act,
        "form": form,
        "pauses": [(controls.place_of(pause), pause) for pause in pauses],
        "back_url": back_url(request, asked.get("group", "")),
    }
    return TemplateResponse(request, "admin/shop/group_act.html", context)


def check_may(request: HttpRequest) -> None:
    """Staff who may do this.

    Raises:
        PermissionDenied: this user may not.
    """
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied


def afterwards(request: HttpRequest) -> str:
    """The list of what people had groups do, for those who may see it."""
    if navigation.may_see(request, "kafka_bridge", "groupcontrol"):
        return reverse("admin:kafka_bridge_groupcontrol_changelist")
    return reverse("admin:index")


def back_url(request: HttpRequest, group: str) -> str:
    """The group's page, for those who may see it."""
    if not request.user.has_perm(passes.PERMISSION):
        return reverse("admin:index")
    query = f"?{urlencode({'group': group})}" if group else ""
    return reverse("admin:operations_page", args=["groups"]) + query


urlpatterns = [
    path(
        f"operations/{act.name}/",
        admin.site.admin_view(partial(act_view, act=act)),
        name=f"operations_{act.name}",
    )
    for act in ACTS
]
