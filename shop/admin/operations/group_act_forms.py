"""The forms for what people do to consumer groups, filled in as far as an address says what it is about."""

from collections.abc import Mapping
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from kafka_bridge.consuming import consumer_groups, controls, registry
from shop.typed.fields import TypedTextField

_MEMBER_LENGTH = 200
_OF_ADDRESSES = {"group", "topic", "partition", "member", "to"}


class ReasonForm(forms.Form):
    """Why something is done."""

    reason = TypedTextField(
        max_length=500, widget=UnfoldAdminTextInputWidget, help_text="Kept with your name, and shown to others."
    )
    field_order = ("group", "topic", "partition", "member", "reason")


class PlaceForm(ReasonForm):
    """A group, a topic of it, or one partition, and why."""

    group = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    topic = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    partition = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=controls.PARTITION_MAX,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Of a topic. Leave empty for all of it.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups = consumer_groups.all_groups()
        heard = sorted({topic.name for group in groups for topic in group.topics})
        _offer(self, "group", [group.name for group in groups])
        _offer(self, "topic", heard, none="All that the group hears")


class MemberForm(ReasonForm):
    """A member of a group, and why."""

    group = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    member = TypedTextField(
        max_length=_MEMBER_LENGTH,
        widget=UnfoldAdminTextInputWidget,
        help_text="Its whole id, as the operations page has it under the group's members.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer(self, "group", [group.name for group in consumer_groups.all_groups()])


class WhereForm(forms.Form):
    """Which group is to go where in which topic."""

    group = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    topic = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    partition = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=controls.PARTITION_MAX,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Leave empty for all of the topic.",
    )
    to = TypedTextField(
        max_length=40,
        widget=UnfoldAdminTextInputWidget,
        help_text="beginning, end, an offset (of one partition), or a time: the first message written from then on; "
        "2026-01-31T04:00+01:00, UTC where no zone is given.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups = registry.groups()
        _offer(self, "group", [group.name for group in groups])
        _offer(self, "topic", sorted({topic.name for group in groups for topic in group.topics}))


class ResetForm(ReasonForm):
    """Whether what was shown is to be done, and why."""

    then = forms.CharField(max_length=20_000, widget=forms.HiddenInput)
    """The offsets that were shown: `partition:offset`, separated by commas."""
    skip = forms.BooleanField(
        required=False,
        label="Pass over messages",
        widget=UnfoldBooleanWidget,
        help_text="Those that the group would never handle.",
    )

    def clean_then(self) -> dict[int, int]:
        """By partition, the offset."""
        pairs = [pair.split(":") for pair in self.cleaned_data["then"].split(",")]
        try:
            return {int(number): int(offset) for number, offset in pairs}
        except ValueError:
            raise forms.ValidationError("Open this page again.") from None


def asked(form: forms.Form, query: Mapping[str, str]) -> dict[str, Any]:
    """What an address says for the fields of this form; what a field would not take is left out."""
    found = {}
    for name in _OF_ADDRESSES & form.fields.keys():
        try:
            found[name] = form.fields[name].clean(query.get(name, ""))
        except forms.ValidationError:
            continue
    return found


def _offer(form: forms.Form, name: str, choices: list[str], *, none: str = "") -> None:
    field = form.fields[name]
    assert isinstance(field, forms.ChoiceField)  # noqa: S101 - as it is above
    field.choices = [*([("", none)] if none else []), *((choice, choice) for choice in choices)]
