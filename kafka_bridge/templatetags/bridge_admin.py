"""What the bridge's admin pages need of either look; `{% load bridge_admin %}`."""

from django import forms, template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from kafka_bridge import theme

register = template.Library()


@register.filter
def thousands(number: int) -> str:
    """A number in groups of three digits; a project need not install `humanize` for it."""
    return intcomma(number)


@register.simple_tag
def icon(name: str) -> SafeString | str:
    """One of Material's symbols where the look has that font; nothing elsewhere."""
    if not theme.IS_UNFOLD:
        return ""
    return format_html('<span class="material-symbols-outlined" aria-hidden="true">{}</span>', name)


@register.simple_tag
def fields(form: forms.Form) -> SafeString:
    """A form's errors and fields."""
    return render_to_string(theme.FIELDS_TEMPLATE, {"form": form})
