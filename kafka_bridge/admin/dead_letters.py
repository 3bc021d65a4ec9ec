"""Dead letters in the admin: which there are and of which kinds, all about one, and what may be done to them.

Everything is done by `redriving`, which notes who did it and why; each deed is asked for once before it is done.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from kafka_bridge import dead_letter_store, redriving, registry
from kafka_bridge.admin import outbox, pages
from kafka_bridge.models import DeadLetter, DeadLetterAct, ParkedMessage

State = DeadLetter.State
STATE_COLOURS = {State.PARKED: "warning", State.REDRIVEN: "info", State.RESOLVED: "success", State.DISCARDED: ""}
MOST_AT_ONCE = 500
"""As many letters can be chosen one by one; all of a kind are done with their own cap."""
_SHOWN = 20
_BEHIND_SHOWN = 20
_AGES = {"1": "Over an hour ago", "24": "Over a day ago", "168": "Over a week ago"}


# -- What may be done ------------------------------------------------------------------------------------
class ReasonForm(forms.Form):
    """Why something is done."""

    reason = forms.CharField(
        max_length=500, widget=UnfoldAdminTextInputWidget, help_text="Kept with your name, for whoever asks later."
    )


class BulkForm(ReasonForm):
    """Why, and how many."""

    cap = forms.IntegerField(
        min_value=1,
        max_value=10_000,
        initial=redriving.CAP,
        label="At most",
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="The oldest first; the others stay as they are.",
    )


class PacedForm(BulkForm):
    """Why, how many, and how fast."""

    per_second = forms.FloatField(
        min_value=0.1,
        max_value=10_000,
        initial=redriving.PER_SECOND,
        label="Messages per second",
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="Slow enough for what failed before.",
    )


@dataclass(frozen=True, kw_only=True)
class Deed:
    """Something that may be done to letters, and the words for it."""

    name: str
    title: str
    button: str
    explanation: str
    done: str
    bulk_form: type[BulkForm]


REDRIVE = Deed(
    name="redrive",
    title="Send again",
    button="Send again",
    explanation=(
        "A copy goes to the group's retry topic and is handled as if it had just come; messages that wait behind it "
        "follow. Do it once the cause is mended: what fails again comes back here."
    ),
    done="sent again",
    bulk_form=PacedForm,
)
DISCARD = Deed(
    name="discard",
    title="Discard",
    button="Discard for good",
    explanation=(
        "The group will never handle it, and what waits behind it goes on without it. It cannot be undone: see to it "
        "yourself that the order is not left half done."
    ),
    done="discarded",
    bulk_form=BulkForm,
)
DEEDS = {deed.name: deed for deed in (REDRIVE, DISCARD)}


class EditForm(ReasonForm):
    """What is sent in place of the original."""

    body = forms.CharField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 18, "spellcheck": "false", "class": "br-code"}),
        help_text="JSON; held against the event's schema. The original is kept, and the event keeps its id.",
    )
    field_order = ("body", "reason")


# -- The list ----------------------------------------------------------------------------------------------
class GroupFilter(admin.SimpleListFilter):
    """By consumer group; the choices are those of the code."""

    title = "group"
    parameter_name = "group"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [(group.name, group.name) for group in registry.groups()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        """The letters of the choice."""
        return queryset.filter(group=self.value()) if self.value() else queryset


class KindFilter(admin.SimpleListFilter):
    """By kind of error; the choices are the most frequent kinds of those that wait."""

    title = "error"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices, and the kind that is chosen already."""
        found = [(kind.fingerprint, kind.error[:60]) for kind in dead_letter_store.kinds(limit=12)]
        chosen = request.GET.get(self.parameter_name, "")
        return found if not chosen or chosen in dict(found) else [*found, (chosen, f"kind {chosen[:16]}")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        """The letters of the choice."""
        return queryset.filter(fingerprint=self.value()) if self.value() else queryset


class AgeFilter(admin.SimpleListFilter):
    """By how long ago the group gave up."""

    title = "age"
    parameter_name = "hours"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return list(_AGES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        """The letters of the choice."""
        hours = self.value()
        return queryset.filter(died_at__lt=timezone.now() - timedelta(hours=int(hours))) if hours in _AGES else queryset


@admin.register(DeadLetter)
class DeadLetterAdmin(pages.FactsAdmin):
    """Messages that their groups could not handle; read by who may view them, worked through by who may change them."""

    list_display = ("id", "status", "event", "subject", "group", "failure", "tried", "died")
    list_display_links = ("id", "event")
    list_filter = ("state", GroupFilter, outbox.TypeFilter, KindFilter, AgeFilter)
    list_before_template = "admin/kafka_bridge/dead_letters_waiting.html"
    search_fields = ("key",)
    search_help_text = "Key (order id) or event id, complete"
    ordering = ("-id",)
    actions = ("redrive_selected", "discard_selected")
    fields = readonly_fields = ("error",)
    change_form_template = "admin/kafka_bridge/dead_letter.html"

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Whether this person may send again, edit and discard; the facts of a letter nobody may change."""
        return request.user.has_perm("kafka_bridge.change_deadletter")

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        """Without the contents: they may be long."""
        rows: QuerySet[DeadLetter] = super().get_queryset(request)
        return rows.defer("value", "edited_value", "traceback", "headers")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter], search_term: str
    ) -> tuple[QuerySet[DeadLetter], bool]:
        """The letters of one key, or of one event."""
        if not (term := search_term.strip().replace("\x00", "")):
            return queryset, False
        by_key = queryset.filter(key=term)
        event_id = pages.as_uuid(term)
        if event_id is None or by_key.exists():
            return by_key, False
        return queryset.filter(event_id=event_id), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, below how many wait."""
        waiting = DeadLetter.objects.filter(state=State.PARKED)[: pages.COUNT_LIMIT].count()
        context = {**(extra_context or {}), "waiting": waiting, "kinds_url": reverse(_KINDS)}
        response: HttpResponse = super().changelist_view(request, context)
        return response

    @admin.display(description="state")
    def status(self, letter: DeadLetter) -> str:
        """How far somebody got with it."""
        return state_label(letter)

    @admin.display(description="event")
    def event(self, letter: DeadLetter) -> str:
        """What it says it is."""
        return letter.type or "unknown"

    @admin.display(description="key")
    def subject(self, letter: DeadLetter) -> str:
        """What it is about, with a link to its page."""
        page, key = pages.subject_pages.get(letter.topic), pages.as_uuid(letter.key)
        return letter.key if page is None or key is None else pages.short_link(reverse(page, args=[letter.key]), key)

    @admin.display(description="error")
    def failure(self, letter: DeadLetter) -> str:
        """Why the group gave up."""
        return format_html('<span class="br-break">{}</span>', letter.error[:160])

    @admin.display(description="tried")
    def tried(self, letter: DeadLetter) -> int:
        """How often."""
        return letter.attempts

    @admin.display(description="given up")
    def died(self, letter: DeadLetter) -> str:
        """When, the last time."""
        return pages.moment(letter.died_at)

    # -- What may be done ----------------------------------------------------------------------------
    @admin.action(permissions=["act"], description="Send again…")
    def redrive_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        """Handle these after all, once a reason is given."""
        return self._ask_about(request, REDRIVE, queryset)

    @admin.action(permissions=["act"], description="Discard…")
    def discard_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        """Give these up, once a reason is given."""
        return self._ask_about(request, DISCARD, queryset)

    def _ask_about(self, request: HttpRequest, deed: Deed, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        ids = list(queryset.order_by("id").values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
        if len(ids) > MOST_AT_ONCE:
            messages.error(request, f"At most {MOST_AT_ONCE} letters can be chosen; for more, take them by kind.")
            return None
        return self._confirmation(request, deed, ids, "", deed.bulk_form(initial={"cap": len(ids)}))

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, the kinds, and those that ask before something is done."""
        view = self.admin_site.admin_view
        return [
            path("kinds/", view(self.kinds_view), name=_KINDS.removeprefix("admin:")),
            path("act/<slug:name>/", view(self.act_view), name=_ACT.removeprefix("admin:")),
            path("<int:letter_id>/edit/", view(self.edit_view), name=_EDIT.removeprefix("admin:")),
            *super().get_urls(),
        ]

    def kinds_view(self, request: HttpRequest) -> HttpResponse:
        """What waits, grouped by why."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        kinds = dead_letter_store.kinds()
        context = {
            **self._frame(request, "Dead letters by kind"),
            "kinds": [(kind, pages.as_age(timezone.now() - kind.last)) for kind in kinds],
            "total": sum(kind.count for kind in kinds),
            "may_act": self.has_act_permission(request),
            "list_url": _list_url(),
        }
        return TemplateResponse(request, "admin/kafka_bridge/dead_letter_kinds.html", context)

    def act_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask whether to do it to the letters `?letter=…`, or to all of the `?kind=…` that wait; on POST do it."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        deed, ids, kind = DEEDS.get(name), _asked_for(request), _kind_asked_for(request)
        if deed is None or not (ids or kind):
            raise Http404
        form_type = deed.bulk_form if kind or len(ids) > 1 else ReasonForm
        form = form_type(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return self._confirmation(request, deed, ids, kind, form)
        self._carry_out(request, deed, _letters(ids, kind), form.cleaned_data)
        if len(ids) == 1:
            return HttpResponseRedirect(pages.page_of(DeadLetter, ids[0]))
        return HttpResponseRedirect(reverse(_KINDS) if kind else _list_url())

    def edit_view(self, request: HttpRequest, letter_id: int) -> HttpResponse:
        """Ask for another body, and on POST send it in place of the original."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        letter = get_object_or_404(DeadLetter, pk=letter_id)
        current = letter.value if letter.edited_value is None else letter.edited_value
        form = EditForm(request.POST or None, initial={"body": pages.as_json(current)})
        if request.method == "POST" and form.is_valid():
            data = form.cleaned_data
            try:
                redriving.edit(letter_id, data["body"], by=_person(request), reason=data["reason"])
            except redriving.Unfit as error:
                form.add_error("body", str(error))
            else:
                self._carry_out(request, REDRIVE, redriving.choose(ids=[letter_id]), {"reason": data["reason"]})
                return HttpResponseRedirect(pages.page_of(DeadLetter, letter_id))
        context = {
            **self._frame(request, "Edit and send again"),
            "letter": letter,
            "form": form,
            "back_url": pages.page_of(DeadLetter, letter_id),
        }
        return TemplateResponse(request, "admin/kafka_bridge/dead_letter_edit.html", context)

    def _carry_out(self, request: HttpRequest, deed: Deed, letters: QuerySet[DeadLetter], data: dict[str, Any]) -> None:
        by, reason, cap = _person(request), data["reason"], data.get("cap") or redriving.CAP
        if deed is REDRIVE:
            pace = data.get("per_second") or redriving.PER_SECOND
            outcome = redriving.redrive(letters, by=by, reason=reason, cap=cap, per_second=pace)
        else:
            outcome = redriving.discard(letters, by=by, reason=reason, cap=cap)
        if outcome.done:
            messages.success(request, f"{_counted(len(outcome.done))} {deed.done}.")
        for why, number in Counter(why for _, why in outcome.left).items():
            messages.warning(request, f"{_counted(number)} left alone: {why}.")
        if outcome.beyond_cap:
            messages.info(request, f"{_counted(outcome.beyond_cap)} beyond the cap, and as before.")

    def _confirmation(
        self, request: HttpRequest, deed: Deed, ids: Sequence[int], kind: str, form: forms.Form
    ) -> TemplateResponse:
        letters = _letters(ids, kind)
        number = letters.count()
        told = [_Told(letter=letter, would=_would(deed, letter)) for letter in letters[:_SHOWN]]
        back = pages.page_of(DeadLetter, ids[0]) if len(ids) == 1 else reverse(_KINDS) if kind else _list_url()
        context = {
            **self._frame(request, f"{deed.title}: {_counted(number)}"),
            "deed": deed,
            "form": form,
            "ids": ids,
            "kind": kind,
            "told": told,
            "more": number - len(told),
            "number": number,
            "back_url": back,
        }
        return TemplateResponse(request, "admin/kafka_bridge/dead_letters_act.html", context)

    def _frame(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.opts}

    # -- The page ------------------------------------------------------------------------------------
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """All about one letter."""
        letter = DeadLetter.objects.filter(pk=object_id).first() if object_id.isdigit() else None
        page = page_of(letter, may_act=self.has_act_permission(request)) if letter else None
        response: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "page": page, "title": "Dead letter"}
        )
        return response


@dataclass(frozen=True, kw_only=True)
class _Told:
    """A letter on the page that asks."""

    letter: DeadLetter
    would: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """What the page of a letter shows."""

    letter: DeadLetter
    status: str
    subject: str
    subject_words: str
    """How what it is about stands now; empty where nobody says."""
    body: str
    edited_body: str
    headers: list[tuple[str, str]]
    would: str
    """What sending it again would do."""
    behind: list[ParkedMessage]
    behind_more: int
    acts: list[DeadLetterAct]
    same_kind: int
    """Others that wait for the same reason."""
    kind_url: str
    redrive_url: str
    """Empty, like the two that follow, where that is not possible now or not for this person."""
    edit_url: str
    discard_url: str


def page_of(letter: DeadLetter, *, may_act: bool) -> Page:
    """Gather what there is about a letter; a fixed number of queries."""
    waiting = redriving.waiting_behind(letter).defer("value", "headers")
    behind = list(waiting[: _BEHIND_SHOWN + 1])
    words = redriving.subject_words.get(letter.topic)
    same = DeadLetter.objects.filter(state=State.PARKED, fingerprint=letter.fingerprint).exclude(pk=letter.pk)
    can_redrive = may_act and not redriving.obstacle_to_redriving(letter)
    can_discard = may_act and not redriving.obstacle_to_discarding(letter)
    return Page(
        letter=letter,
        status=state_label(letter),
        subject=_subject(letter),
        subject_words=words(letter.key) if words else "",
        body=pages.as_json(letter.value),
        edited_body="" if letter.edited_value is None else pages.as_json(letter.edited_value),
        headers=[(name, value.decode(errors="replace")) for name, value in dead_letter_store.unpack(letter.headers)],
        would=redriving.dry_run(letter),
        behind=behind[:_BEHIND_SHOWN],
        behind_more=waiting.count() - _BEHIND_SHOWN if len(behind) > _BEHIND_SHOWN else 0,
        acts=list(letter.acts.all()),
        same_kind=same[: pages.COUNT_LIMIT].count(),
        kind_url=f"{_list_url()}?kind={letter.fingerprint}",
        redrive_url=_act_url(REDRIVE, letter) if can_redrive else "",
        edit_url=reverse(_EDIT, args=[letter.pk]) if can_discard and letter.event_id else "",
        discard_url=_act_url(DISCARD, letter) if can_discard else "",
    )


def state_label(letter: DeadLetter) -> str:
    """The state as a coloured word."""
    return pages.label(letter.get_state_display(), STATE_COLOURS[State(letter.state)])


_KINDS, _ACT, _EDIT = (f"admin:kafka_bridge_deadletter_{name}" for name in ("kinds", "act", "edit"))


def _list_url() -> str:
    return reverse("admin:kafka_bridge_deadletter_changelist")


def _act_url(deed: Deed, letter: DeadLetter) -> str:
    return f"{reverse(_ACT, args=[deed.name])}?letter={letter.pk}"


def _subject(letter: DeadLetter) -> str:
    page = pages.subject_pages.get(letter.topic)
    # Anything may stand in a message that nobody could read.
    if page is None or pages.as_uuid(letter.key) is None:
        return letter.key
    return pages.link(reverse(page, args=[letter.key]), letter.key)


def _would(deed: Deed, letter: DeadLetter) -> str:
    if deed is REDRIVE:
        return redriving.dry_run(letter)
    if why := redriving.obstacle_to_discarding(letter):
        return f"Left alone: {why}."
    behind = redriving.waiting_behind(letter).count()
    return f"Given up; {behind:,} that wait behind it go on." if behind else "Given up; nothing waits behind it."


def _letters(ids: Sequence[int], kind: str) -> QuerySet[DeadLetter]:
    return redriving.choose(ids=ids) if ids else redriving.choose(kind=kind, state=State.PARKED)


def _asked_for(request: HttpRequest) -> list[int]:
    """The ids `letter` of the form, or of the address."""
    given = request.POST if request.method == "POST" else request.GET
    return [int(text) for text in given.getlist("letter")[:MOST_AT_ONCE] if text.isdigit() and len(text) < 19]


def _kind_asked_for(request: HttpRequest) -> str:
    given = request.POST if request.method == "POST" else request.GET
    return given.get("kind", "").replace("\x00", "")


def _counted(number: int) -> str:
    return "1 letter" if number == 1 else f"{number:,} letters"


def _person(request: HttpRequest) -> str:
    return request.user.get_username()
