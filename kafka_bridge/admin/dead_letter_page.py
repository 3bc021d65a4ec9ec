"""The page of one dead letter: all that there is about it, and what may be done."""

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from kafka_bridge.admin import pages
from kafka_bridge.admin.dead_letter_actions import DISCARD, DISCARD_KEY, REDRIVE, Action
from kafka_bridge.dead_letters import key_discarding, letter_store, redrive_preview, redriving, rights
from kafka_bridge.models import DeadLetter, DeadLetterAct, ParkedMessage

State = DeadLetter.State
STATE_COLOURS = {State.PARKED: "warning", State.REDRIVEN: "info", State.RESOLVED: "success", State.DISCARDED: ""}
_BEHIND_SHOWN = 20
_HEADERS_SHOWN = 200
KINDS, ACT, EDIT = (f"admin:kafka_bridge_deadletter_{name}" for name in ("kinds", "act", "edit"))
"""How Django calls the pages of kinds, of a deed and of editing."""


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
    lacks: str
    """What was not kept of the message, because it was too large; empty where it is whole."""
    headers: list[tuple[str, str]]
    forecast: redrive_preview.Forecast
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
    discard_key_url: str
    """Where all of its key can be discarded; empty likewise, and where there is nothing else of it."""


def page_of(letter: DeadLetter, *, user: Any) -> Page:
    """Gather what there is about a letter, and what this user may do to it; a fixed number of queries."""
    waiting = redrive_preview.waiting_behind(letter).defer("value", "headers")
    behind = list(waiting[: _BEHIND_SHOWN + 1])
    same = DeadLetter.objects.filter(state=State.PARKED, fingerprint=letter.fingerprint).exclude(pk=letter.pk)
    lacking = rights.obstacle_for(user)(letter)
    may_redrive = user.has_perm(rights.REDRIVE) and not lacking
    can_redrive = may_redrive and not redriving.obstacle_to_redriving(letter)
    is_open = not lacking and not redriving.obstacle_to_discarding(letter)
    can_edit = is_open and may_redrive and user.has_perm(rights.EDIT)
    can_discard = is_open and user.has_perm(rights.DISCARD)
    return Page(
        letter=letter,
        status=state_label(letter),
        subject=_subject(letter),
        subject_words=redrive_preview.state_of_subject(letter),
        body=pages.excerpt(pages.as_json(letter.value)),
        edited_body="" if letter.edited_value is None else pages.excerpt(pages.as_json(letter.edited_value)),
        lacks=_lacks(letter),
        headers=[
            (pages.excerpt(name), pages.excerpt(value.decode(errors="replace")))
            for name, value in letter_store.unpack(letter.headers)[:_HEADERS_SHOWN]
        ],
        forecast=redrive_preview.forecast(letter),
        behind=behind[:_BEHIND_SHOWN],
        behind_more=waiting.count() - _BEHIND_SHOWN if len(behind) > _BEHIND_SHOWN else 0,
        acts=list(letter.acts.all()),
        same_kind=same[: pages.COUNT_LIMIT].count(),
        kind_url=f"{list_url()}?kind={letter.fingerprint}",
        redrive_url=_act_url(REDRIVE, letter) if can_redrive else "",
        edit_url=reverse(EDIT, args=[letter.pk]) if can_edit and letter.event_id else "",
        discard_url=_act_url(DISCARD, letter) if can_discard else "",
        discard_key_url=_act_url(DISCARD_KEY, letter) if can_discard and _has_more_of_its_key(letter) else "",
    )


def _lacks(letter: DeadLetter) -> str:
    cut = letter_store.cut_of(letter)
    body = f"the body has {cut.body_bytes:,} bytes, SHA-256 {cut.body_sha256}" if cut.body_bytes else ""
    headers = f"{cut.headers_left_out:,} headers were left out" if cut.headers_left_out else ""
    return "; ".join(filter(None, (body, headers)))


def _has_more_of_its_key(letter: DeadLetter) -> bool:
    return key_discarding.count(letter) > 1 and not key_discarding.obstacle(letter)


def state_label(letter: DeadLetter) -> str:
    """The state as a coloured word."""
    return pages.label(letter.get_state_display(), STATE_COLOURS[State(letter.state)])


def list_url() -> str:
    """Where all letters are listed."""
    return reverse("admin:kafka_bridge_deadletter_changelist")


def _act_url(deed: Action, letter: DeadLetter) -> str:
    return f"{reverse(ACT, args=[deed.name])}?letter={letter.pk}"


def _subject(letter: DeadLetter) -> str:
    page = pages.subject_pages.get(letter.topic)
    # Anything may stand in a message that nobody could read.
    if page is None or pages.as_uuid(letter.key) is None:
        return letter.key
    return pages.link(reverse(page, args=[letter.key]), letter.key)
