"""A form that was opened before a colleague saved does not undo what the colleague changed.

# Note [What the page showed]
Each field of an edit form is sent with the value that the page showed (Django's hidden initial values). When the form
comes back, the row is locked, and what was shown is compared with what is there now. If they differ, nothing is saved,
and the form is shown again: a field that was not touched takes the new value; one that was keeps what was typed,
with both values beside it. To save it then is a decision. The same holds for the rows below a form and for lists that
can be edited, where the other columns are not written at all.
"""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import FieldDoesNotExist
from django.db import connection, transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, QueryDict

from kafka_bridge import admin as facts


class StaleCheck:
    """Mixed into the model forms of the admin; see Note [What the page showed]."""

    only_touched = False
    """Whether fields that were not touched are not written anyway, so that nobody need hear of them."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        prefix = self.add_initial_prefix("")
        came_from_page = not self.is_bound or any(name.startswith(prefix) for name in self.data)
        self._checked = [] if self.instance.pk is None or not came_from_page else self._check_these()

    def _check_these(self: Any) -> list[str]:
        names = [name for name, field in self.fields.items() if not field.disabled and name != self._pk_name()]
        for name in names:
            self.fields[name].show_hidden_initial = True
        return names

    def _pk_name(self: Any) -> str:
        return str(self._meta.model._meta.pk.name)

    def full_clean(self: Any) -> None:
        """As usual; then refuse what a colleague has changed meanwhile."""
        super().full_clean()  # type: ignore[misc]  # of the form that this is mixed into
        if self.is_bound and self._checked:
            self._refuse_stale()

    def _refuse_stale(self: Any) -> None:
        data = self.data.copy()
        touched, found = set(self.changed_data), {}
        for name in self._checked:
            bound, field = self[name], self.fields[name]
            hidden = field.hidden_widget()
            seen = hidden.value_from_datadict(self.data, self.files, bound.html_initial_name)
            if not field.has_changed(bound.initial, seen) or (self.only_touched and name not in touched):
                continue
            found[name] = self._words(name, seen, name in touched)
            now = field.prepare_value(bound.initial)
            _put(data, hidden, bound.html_initial_name, now)
            if name not in touched:
                _put(data, field.widget, bound.html_name, now)
        self.data = data
        for name, words in found.items():
            self.add_error(name, words)

    def _words(self: Any, name: str, seen: Any, is_touched: bool) -> str:
        bound, field = self[name], self.fields[name]
        now, then = _shown(field, bound.initial), _shown(field, seen)
        if not is_touched or not field.has_changed(bound.initial, bound.data):
            return f"Changed to {now} by somebody else since you opened this page (it was {then}). Save again to agree."
        return (
            f"Changed to {now} by somebody else since you opened this page (it was {then}), and you entered "
            f"{_shown(field, bound.data)}. Save again to keep yours."
        )


def _put(data: QueryDict, widget: forms.Widget, name: str, value: Any) -> None:
    """Write a value into what was sent, under the names under which the widget reads it."""
    if isinstance(widget, forms.MultiWidget):
        parts = value if isinstance(value, (list, tuple)) else widget.decompress(value) or []
        names: list[str] = widget.widgets_names  # type: ignore[attr-defined]  # unknown to the stubs
        for suffix, each, part in zip(names, widget.widgets, parts, strict=True):
            _put(data, each, name + suffix, part)
    elif isinstance(widget, forms.CheckboxInput):
        data.pop(name, None)
        if value:
            data[name] = "on"
    elif isinstance(value, (list, tuple)):
        data.setlist(name, [str(part) for part in value])
    else:
        data[name] = "" if value is None else str(widget.format_value(value))


def _shown(field: forms.Field, value: Any) -> str:
    """A value of this field as a person reads it."""
    if isinstance(field, forms.BooleanField):
        return "yes" if field.to_python(value) else "no"
    if isinstance(field, forms.MultiValueField) and isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    prepared = field.prepare_value(value)
    chosen = [str(part) for part in (prepared if isinstance(prepared, (list, tuple, set)) else [prepared])]
    if isinstance(field, forms.ModelChoiceField) and field.queryset is not None:
        rows = field.queryset.filter(pk__in=[pk for pk in chosen if pk.isdigit()])
        return ", ".join(f"“{row}”" for row in rows) or "nothing"
    text = ", ".join(part for part in chosen if part and part != "None")
    return f"“{text}”" if text else "nothing"


def checked(form: type[Any], *, only_touched: bool = False) -> type[Any]:
    """This form, with the check."""
    if issubclass(form, StaleCheck):
        return form
    return type(form.__name__, (StaleCheck, form), {"only_touched": only_touched})


class CheckedInline:
    """Mixed into the rows below a form."""

    def get_formset(self: Any, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> Any:
        """The usual rows, each with the check."""
        formset: Any = super().get_formset(request, obj, **kwargs)  # type: ignore[misc]  # of the admin that this is mixed into
        formset.form = checked(formset.form)
        return formset


class CheckedAdmin(facts.PlainAdmin):
    """Pages where rows are edited."""

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        """The usual form, with the check."""
        return checked(super().get_form(request, obj, change=change, **kwargs))

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        """A row of a list that can be edited, with the check."""
        return checked(super().get_changelist_form(request, **kwargs), only_touched=True)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row; locked, if it is about to be saved, so that nobody saves it between the check and that."""
        if request.method == "POST" and connection.in_atomic_block:
            self._lock([object_id])
        return super().get_object(request, object_id, from_field)

    def changelist_view(self, request: HttpRequest, extra_context: Mapping[str, Any] | None = None) -> HttpResponse:
        """The list; its rows are locked while they are saved."""
        with transaction.atomic():
            if request.method == "POST" and "_save" in request.POST:
                self._lock([str(value) for name, value in request.POST.items() if name.endswith(f"-{self._pk_name()}")])
            response: HttpResponse = super().changelist_view(request, extra_context)
        return response

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save; from a list only what the list edits."""
        if change and self._is_of_list(request):
            obj.save(update_fields=[name for name in form.changed_data if self._has_column(name)])
        else:
            super().save_model(request, obj, form, change)

    def _lock(self, keys: list[str]) -> None:
        pk = self.model._meta.pk
        wanted = []
        for key in keys:
            try:
                wanted.append(pk.to_python(key))
            except forms.ValidationError:
                continue
        list(self.model._base_manager.filter(pk__in=wanted).order_by("pk").select_for_update().values_list("pk"))

    def _pk_name(self) -> str:
        return str(self.model._meta.pk.name)

    @staticmethod
    def _is_of_list(request: HttpRequest) -> bool:
        match = request.resolver_match
        return match is not None and (match.url_name or "").endswith("_changelist")

    def _has_column(self, name: str) -> bool:
        try:
            return bool(self.model._meta.get_field(name).concrete)
        except FieldDoesNotExist:
            return False
