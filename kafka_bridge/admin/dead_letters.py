"""Dead letters in the admin: which there are and of which kinds, all about one, and what may be done to them.

Everything is done by `redriving`, which notes who did it and why; each deed is asked for once before it is done.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from kafka_bridge import theme
from kafka_bridge.admin import dead_letter_page as letter_page
from kafka_bridge.admin import outbox, pages
from kafka_bridge.admin.dead_letter_actions import DEEDS, DISCARD, DISCARD_KEY, REDRIVE, Action, EditForm, ReasonForm
from kafka_bridge.admin.dead_letter_filters import AgeFilter, GroupFilter, KindFilter
from kafka_bridge.dead_letters import error_kinds, key_discarding, redrive_preview, redriving, rights
from kafka_bridge.models import DeadLetter, UnknownEvent

State = DeadLetter.State
MOST_AT_ONCE = 500
"""As many letters can be chosen one by one; all of a kind are done with their own cap."""
_SHOWN = 20


@admin.register(DeadLetter)
class DeadLetterAdmin(pages.FactsAdmin):
    """Messages that their groups could not handle; read by who may view them. See `rights` for who may do what."""

    list_display = ("id", "status", "event", "subject", "group", "failure", "tried", "died")
    list_display_links = ("id", "event")
    list_filter = ("state", GroupFilter, outbox.TypeFilter, KindFilter, AgeFilter)
    list_before_template = "admin/kafka_bridge/dead_letters_waiting.html"
    search_fields = ("key",)
    search_help_text = "Key or event id, complete"
    ordering = ("-id",)
    actions = ("redrive_selected", "discard_selected")
    fields = readonly_fields = ("error",)
    change_list_template = theme.LIST_TEMPLATE
    change_form_template = "admin/kafka_bridge/dead_letter.html"

    class Media:
        """What the pages need besides the admin's own styles."""

        css = theme.STYLES

    def has_view_permission(self, request: HttpRequest, obj: DeadLetter | None = None) -> bool:
        """Whoever may do something to letters may see them."""
        may = request.user.has_perm
        return super().has_view_permission(request, obj) or may(rights.REDRIVE) or may(rights.EDIT)

    def has_redrive_permission(self, request: HttpRequest) -> bool:
        """Whether this person may send letters again."""
        return request.user.has_perm(rights.REDRIVE)

    def has_discard_permission(self, request: HttpRequest) -> bool:
        """Whether this person may discard letters; their facts nobody may change."""
        return request.user.has_perm(rights.DISCARD)

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
        context = {**(extra_context or {}), "waiting": waiting, "kinds_url": reverse(letter_page.KINDS)}
        response: HttpResponse = super().changelist_view(request, context)
        return response

    @admin.display(description="state")
    def status(self, letter: DeadLetter) -> str:
        """How far somebody got with it."""
        return letter_page.state_label(letter)

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
    @admin.action(permissions=["redrive"], description="Send again…")
    def redrive_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        """Handle these after all, once a reason is given."""
        return self._ask_about(request, REDRIVE, queryset)

    @admin.action(permissions=["discard"], description="Discard…")
    def discard_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        """Give these up, once a reason is given."""
        return self._ask_about(request, DISCARD, queryset)

    def _ask_about(self, request: HttpRequest, deed: Action, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        ids = list(queryset.order_by("id").values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
        if len(ids) > MOST_AT_ONCE:
            messages.error(request, f"At most {MOST_AT_ONCE} letters can be chosen; for more, take them by kind.")
            return None
        return self._confirmation(request, deed, ids, "", deed.bulk_form(initial={"cap": len(ids)}))

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, the kinds, and those that ask before something is done."""
        view = self.admin_site.admin_view
        return [
            path("kinds/", view(self.kinds_view), name=letter_page.KINDS.removeprefix("admin:")),
            path("act/<slug:name>/", view(self.act_view), name=letter_page.ACT.removeprefix("admin:")),
            path("<int:letter_id>/edit/", view(self.edit_view), name=letter_page.EDIT.removeprefix("admin:")),
            *super().get_urls(),
        ]

    def kinds_view(self, request: HttpRequest) -> HttpResponse:
        """What waits, grouped by why."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        kinds = error_kinds.waiting()
        context = {
            **self._frame(request, "Dead letters by kind"),
            "kinds": [(kind, pages.as_age(timezone.now() - kind.last)) for kind in kinds],
            "total": sum(kind.count for kind in kinds),
            "passed_over": UnknownEvent.objects.order_by("-last_at")[:_SHOWN],
            "may_redrive": self.has_redrive_permission(request),
            "may_discard": self.has_discard_permission(request),
            "list_url": letter_page.list_url(),
        }
        return TemplateResponse(request, "admin/kafka_bridge/dead_letter_kinds.html", context)

    @transaction.non_atomic_requests
    def act_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask whether to do it to the letters `?letter=…`, or to all of the `?kind=…` that wait; on POST do it."""
        deed, ids, kind = DEEDS.get(name), _asked_for(request), _kind_asked_for(request)
        if deed is not None and not request.user.has_perm(deed.permission):
            raise PermissionDenied
        if deed is None or not (ids or kind) or (deed is DISCARD_KEY and len(ids) != 1):
            raise Http404
        form_type = deed.bulk_form if kind or len(ids) > 1 else ReasonForm
        form = form_type(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return self._confirmation(request, deed, ids, kind, form)
        self._carry_out(request, deed, _letters(ids, kind), form.cleaned_data)
        if len(ids) == 1:
            return HttpResponseRedirect(pages.page_of(DeadLetter, ids[0]))
        return HttpResponseRedirect(reverse(letter_page.KINDS) if kind else letter_page.list_url())

    @transaction.non_atomic_requests
    def edit_view(self, request: HttpRequest, letter_id: int) -> HttpResponse:
        """Ask for another body, and on POST send it in place of the original."""
        if not request.user.has_perms([rights.EDIT, rights.REDRIVE]):
            raise PermissionDenied
        letter = get_object_or_404(DeadLetter, pk=letter_id)
        if lacking := rights.obstacle_for(request.user)(letter):
            raise PermissionDenied(lacking)
        form = EditForm(request.POST or None, initial={"body": pages.as_json(letter.contents)})
        if request.method == "POST" and form.is_valid():
            data = form.cleaned_data
            try:
                redriving.edit(letter_id, data["body"], by=_person(request), reason=data["reason"])
            except redriving.InvalidBody as error:
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

    def _carry_out(
        self, request: HttpRequest, deed: Action, letters: QuerySet[DeadLetter], data: dict[str, Any]
    ) -> None:
        by, reason, cap = _person(request), data["reason"], data.get("cap") or redriving.CAP
        refuse = rights.obstacle_for(request.user)
        if deed is REDRIVE:
            pace = data.get("per_second") or redriving.PER_SECOND
            outcome = redriving.redrive(letters, by=by, reason=reason, cap=cap, per_second=pace, refuse=refuse)
        elif deed is DISCARD_KEY:
            letter = get_object_or_404(letters)
            outcome = key_discarding.discard_key(letter.pk, by=by, reason=reason, refuse=refuse)
        else:
            outcome = redriving.discard(letters, by=by, reason=reason, cap=cap, refuse=refuse)
        if outcome.done:
            messages.success(request, f"{_counted(len(outcome.done))} {deed.done}.")
        for why, number in Counter(why for _, why in outcome.left).items():
            messages.warning(request, f"{_counted(number)} left alone: {why}.")
        if outcome.beyond_cap:
            messages.info(request, f"{_counted(outcome.beyond_cap)} beyond the cap, and as before.")

    def _confirmation(
        self, request: HttpRequest, deed: Action, ids: Sequence[int], kind: str, form: forms.Form
    ) -> TemplateResponse:
        letters = _letters(ids, kind)
        number = letters.count()
        told = [_Told(letter=letter, would=_would(deed, letter)) for letter in letters[:_SHOWN]]
        several = reverse(letter_page.KINDS) if kind else letter_page.list_url()
        context = {
            **self._frame(request, f"{deed.title}: {_counted(number)}"),
            "deed": deed,
            "form": form,
            "ids": ids,
            "kind": kind,
            "told": told,
            "more": number - len(told),
            "number": number,
            "back_url": pages.page_of(DeadLetter, ids[0]) if len(ids) == 1 else several,
        }
        return TemplateResponse(request, "admin/kafka_bridge/dead_letters_act.html", context)

    def _frame(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "media": self.media}

    # -- The page ------------------------------------------------------------------------------------
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """All about one letter."""
        letter = DeadLetter.objects.filter(pk=object_id).first() if _is_id(object_id) else None
        page = letter_page.page_of(letter, user=request.user) if letter else None
        response: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "page": page, "title": "Dead letter"}
        )
        return response


@dataclass(frozen=True, kw_only=True)
class _Told:
    """A letter on the page that asks."""

    letter: DeadLetter
    would: str


def _would(deed: Action, letter: DeadLetter) -> str:
    if deed is REDRIVE:
        return redrive_preview.dry_run(letter)
    obstacle = key_discarding.obstacle if deed is DISCARD_KEY else redriving.obstacle_to_discarding
    if why := obstacle(letter):
        return f"Left alone: {why}."
    if deed is DISCARD_KEY:
        return f"Given up, {key_discarding.count(letter):,} of {letter.key} in all."
    behind = redrive_preview.waiting_behind(letter).count()
    return f"Given up; {behind:,} that wait behind it go on." if behind else "Given up; nothing waits behind it."


def _letters(ids: Sequence[int], kind: str) -> QuerySet[DeadLetter]:
    return redriving.choose(ids=ids) if ids else redriving.choose(kind=kind, state=State.PARKED)


def _asked_for(request: HttpRequest) -> list[int]:
    """The ids `letter` of the form, or of the address."""
    given = request.POST if request.method == "POST" else request.GET
    return [int(text) for text in given.getlist("letter")[:MOST_AT_ONCE] if _is_id(text)]


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _kind_asked_for(request: HttpRequest) -> str:
    given = request.POST if request.method == "POST" else request.GET
    return given.get("kind", "").replace("\x00", "")


def _counted(number: int) -> str:
    return "1 letter" if number == 1 else f"{number:,} letters"


def _person(request: HttpRequest) -> str:
    return request.user.get_username()
