"""`{% personal "name.html" %}`: a part of a page that differs between visitors."""

from django import template
from django.template.base import Template
from django.template.context import Context
from django.utils.safestring import SafeString, mark_safe

from shop.site import shared_pages

register = template.Library()


@register.simple_tag(takes_context=True)
def personal(context: Context, name: str) -> SafeString:
    """The template, rendered for this visitor; or a gap for it, in a page that many visitors get."""
    if context.get("has_gaps"):
        return mark_safe(f"{shared_pages.GAP}{name}{shared_pages.GAP}")  # noqa: S308 - the name is ours
    found: Template = context.template.engine.get_template(name)  # type: ignore[union-attr]  # it is being rendered
    return found.render(context)
