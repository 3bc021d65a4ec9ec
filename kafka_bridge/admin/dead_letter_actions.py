"""What may be done to dead letters in the admin: the deeds with their words, and the forms that ask for the reason."""

from dataclasses import dataclass

from django import forms

from kafka_bridge import theme
from kafka_bridge.dead_letters import redriving, rights

_plain = "django.contrib.admin.widgets"
_TextInput = theme.either("unfold.widgets.UnfoldAdminTextInputWidget", f"{_plain}.AdminTextInputWidget")
_TextArea = theme.either("unfold.widgets.UnfoldAdminTextareaWidget", f"{_plain}.AdminTextareaWidget")
_IntegerInput = theme.either("unfold.widgets.UnfoldAdminIntegerFieldWidget", f"{_plain}.AdminIntegerFieldWidget")
_DecimalInput = theme.either("unfold.widgets.UnfoldAdminDecimalFieldWidget", "django.forms.NumberInput")


class ReasonForm(forms.Form):
    """Why something is done."""

    reason = forms.CharField(
        max_length=500, widget=_TextInput, help_text="Kept with your name, for whoever asks later."
    )


class BulkForm(ReasonForm):
    """Why, and how many."""

    cap = forms.IntegerField(
        min_value=1,
        max_value=10_000,
        initial=redriving.CAP,
        label="At most",
        widget=_IntegerInput,
        help_text="The oldest first; the others stay as they are.",
    )


class PacedForm(BulkForm):
    """Why, how many, and how fast."""

    per_second = forms.FloatField(
        min_value=0.1,
        max_value=10_000,
        initial=redriving.PER_SECOND,
        label="Messages per second",
        widget=_DecimalInput,
        help_text="Slow enough for what failed before.",
    )


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that may be done to letters, and the words for it."""

    name: str
    title: str
    button: str
    explanation: str
    done: str
    bulk_form: type[BulkForm]
    permission: str


REDRIVE = Action(
    name="redrive",
    title="Send again",
    button="Send again",
    explanation=(
        "A copy goes to the group's retry topic and is handled as if it had just come; messages that wait behind it "
        "follow. Do it once the cause is mended: what fails again comes back here."
    ),
    done="sent again",
    bulk_form=PacedForm,
    permission=rights.REDRIVE,
)
DISCARD = Action(
    name="discard",
    title="Discard",
    button="Discard for good",
    explanation=(
        "The group will never handle it, and what waits behind it goes on without it. It cannot be undone: see to it "
        "yourself that nothing is left half done."
    ),
    done="discarded",
    bulk_form=BulkForm,
    permission=rights.DISCARD,
)
DISCARD_KEY = Action(
    name="discard-key",
    title="Discard all of this key",
    button="Discard all of them for good",
    explanation=(
        "The group will never handle this message, nor any other of its key that it could not handle or that waits "
        "behind one. It cannot be undone: see to it yourself that nothing is left half done. Messages of the key that "
        "come later are handled."
    ),
    done="discarded",
    bulk_form=BulkForm,
    permission=rights.DISCARD,
)
DEEDS = {deed.name: deed for deed in (REDRIVE, DISCARD, DISCARD_KEY)}


class EditForm(ReasonForm):
    """What is sent in place of the original."""

    body = forms.CharField(
        widget=_TextArea(attrs={"rows": 18, "spellcheck": "false", "class": "br-code"}),
        help_text="JSON; held against the event's schema. The original is kept, and the event keeps its id.",
    )
    field_order = ("body", "reason")
