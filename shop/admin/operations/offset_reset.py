"""Resetting the offsets of a group from the admin: what it would mean is shown first, and then done as it was shown."""

from collections.abc import Mapping
from dataclasses import replace

from confluent_kafka import KafkaException
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from kafka_bridge.replaying import offset_resets
from kafka_bridge.replaying.offset_resets import ResetPreview
from kafka_bridge.replaying.offsets import InvalidRequest
from shop.admin.operations import group_acts
from shop.admin.operations.group_act_forms import ResetForm, WhereForm, asked
from shop.admin.site import navigation
from shop.operations.overview import outage_words


class _Refused(Exception):
    """The message says why."""


@transaction.non_atomic_requests
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def reset_view(request: HttpRequest) -> HttpResponse:
    """Ask where to; show what that means; do it. The address says where to, so that what is shown can be passed on."""
    group_acts.check_may(request)
    query = request.GET.dict()
    where = WhereForm(query if "to" in query else None, initial=asked(WhereForm(), query))
    shown = _preview(where) if where.is_bound and where.is_valid() else None
    form = None
    if shown is not None:
        form = ResetForm(request.POST if request.method == "POST" else None, initial={"then": _written(shown)})
        if request.method == "POST" and form.is_valid():
            try:
                _carry_out(shown, form, navigation.person(request).get_username())
            except _Refused as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, f"{shown.group.name} goes on from there when it is started.")
                return HttpResponseRedirect(group_acts.afterwards(request))
        if not shown.skipped:
            del form.fields["skip"]
    context = {
        **admin.site.each_context(request),
        "title": "Reset the offsets of a group",
        "where": where,
        "shown": shown,
        "form": form,
        "back_url": group_acts.back_url(request, str(where.initial.get("group", ""))),
    }
    return TemplateResponse(request, "admin/shop/offset_reset.html", context)


def _preview(where: WhereForm) -> ResetPreview | None:
    try:
        return offset_resets.preview(**where.cleaned_data)
    except (LookupError, InvalidRequest) as error:
        where.add_error(None, str(error.args[0]))
    except KafkaException as error:
        where.add_error(None, f"Kafka cannot be asked: {outage_words.describe(error)}.")
    return None


def _carry_out(shown: ResetPreview, form: ResetForm, who: str) -> None:
    said = form.cleaned_data
    try:
        as_shown = _moving_to(shown, said["then"])
        offset_resets.reset(as_shown, allow_skip=said["skip"], who=who, reason=said["reason"])
    except InvalidRequest as error:
        raise _Refused(str(error)) from error
    except KafkaException as error:
        raise _Refused(f"Kafka did not do it: {outage_words.describe(error)}.") from error


def _written(shown: ResetPreview) -> str:
    return ",".join(f"{move.log_range.partition}:{move.then}" for move in shown.moves)


def _moving_to(shown: ResetPreview, then: Mapping[int, int]) -> ResetPreview:
    """The same to these offsets: those that the page has shown.

    Raises:
        InvalidRequest: there are other partitions now, or other messages.
    """
    ranges = {move.log_range.partition: move.log_range for move in shown.moves}
    if then.keys() != ranges.keys() or any(not ranges[n].start <= then[n] <= ranges[n].end for n in then):
        raise InvalidRequest("The topic is not any more as it was shown. Open this page again.")
    return replace(shown, moves=[replace(move, then=then[move.log_range.partition]) for move in shown.moves])


urlpatterns = [path("operations/reset/", admin.site.admin_view(reset_view), name="operations_reset")]
