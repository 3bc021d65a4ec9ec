"""The page of the funnel: from the look at a book to the paid order, as analytics counts it."""

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from shop.admin.site import navigation
from shop.analytics import funnel


@never_cache
@require_safe
def funnel_page(request: HttpRequest) -> HttpResponse:
    """For those who may see the sales figures; it reads itself anew every few seconds."""
    if not navigation.may_see(request, "shop", "dailysales"):
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": "From the look to the order",
        "funnel": funnel.read(),
        "is_counted": settings.ACTIVITY_EVENTS,
    }
    return TemplateResponse(request, "admin/shop/funnel.html", context)


urlpatterns = [path("funnel/", admin.site.admin_view(funnel_page), name="funnel")]
