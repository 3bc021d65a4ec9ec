"""Django's own `csrf_token`, which every form has, with the token that lets a form be done once.

Built into all templates by `settings.TEMPLATES`, so that forms of Django, of the theme and of the bridge carry it, too.
"""

import uuid

from django import template
from django.http import HttpRequest
from django.template.context import RequestContext
from django.template.defaulttags import CsrfTokenNode
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from shop.site import one_time_forms

register = template.Library()


@register.simple_tag(takes_context=True)
def csrf_token(context: RequestContext) -> SafeString:
    """Hidden fields: the one against forged forms, and on pages whose forms are done once a new token for each form."""
    guard: SafeString = mark_safe(CsrfTokenNode().render(context))  # noqa: S308 - Django's own
    request = context.get("request")
    if not isinstance(request, HttpRequest) or not one_time_forms.applies_to(request):
        return guard
    return format_html('{}<input type="hidden" name="{}" value="{}">', guard, one_time_forms.FIELD, uuid.uuid4())
