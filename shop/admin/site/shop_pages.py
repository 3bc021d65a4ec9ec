"""The shop's own pages: edited here, shown in the shop within a second; what is typed can be looked at before."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminTextareaWidget

from kafka_bridge import admin as facts
from shop.admin.site import navigation, stale_forms
from shop.models import ShopPage
from shop.operations import activity_log
from shop.pages import markup, page_texts, page_views
from shop.typed import fields as typed


class ShopPageForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic at run time
    """Title and text of a page."""

    class Meta:
        model = ShopPage
        fields = ("title", "text")
        field_classes = dict.fromkeys(("title", "text"), typed.TypedTextField)
        widgets = {"text": UnfoldAdminTextareaWidget(attrs={"rows": 30})}  # noqa: RUF012 - of Django's Meta

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if text := self.fields.get("text"):  # missing for users who may only view
            text.help_text = (
                "Paragraphs with an empty line between them, ## headings, - lists, **bold**, *italic*, "
                "[links](/pages/imprint/). HTML is shown as it is typed. These are filled in from the settings: "
                f"{', '.join(f'{{{name}}}' for name in markup.NAMES)}."
            )

    def clean_text(self) -> str:
        """The text; every name in braces is one that there is."""
        text: str = self.cleaned_data["text"]
        try:
            markup.check(text)
        except markup.UnknownName as error:
            raise ValidationError(str(error)) from error
        return text


@admin.register(ShopPage)
class ShopPageAdmin(stale_forms.CheckedAdmin):
    """Which pages there are is fixed, for the footer leads to them; what they say is not."""

    form = ShopPageForm
    list_display = ("title", "slug", "language", "changed_at")
    list_filter = ("language", "slug")
    fieldsets = ((None, {"fields": ("title", "text", "where")}),)
    readonly_fields = ("where",)
    change_form_before_template = "admin/shop/shop_page_preview.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """All pages are there from the beginning."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ShopPage | None = None) -> bool:
        """The footer leads to each of them."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, and the preview."""
        preview = self.admin_site.admin_view(require_POST(self.preview_view))
        return [path("<int:page_id>/preview/", preview, name="shop_shoppage_preview"), *super().get_urls()]

    def preview_view(self, request: HttpRequest, page_id: int) -> HttpResponse:
        """The page in the shop's own dress with what is typed in the form; nothing is saved."""
        row = get_object_or_404(ShopPage, pk=page_id)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        form = ShopPageForm(request.POST, instance=row)
        if not form.is_valid():
            words = " ".join(str(error) for errors in form.errors.values() for error in errors)
            return HttpResponse(f"It cannot be shown: {words}", status=422, content_type="text/plain; charset=utf-8")
        typed_text = page_texts.PageText(
            slug=row.slug, language=row.language, title=form.cleaned_data["title"], text=form.cleaned_data["text"]
        )
        context = page_views.context_of(typed_text)
        return render(request, "shop/page.html", {**context, "about": None, "is_preview": True})

    def save_model(self, request: HttpRequest, obj: ShopPage, form: Any, change: bool) -> None:
        """Save, and record what the page said before."""
        before = ShopPage.objects.get(pk=obj.pk)
        obj.changed_at = timezone.now()
        super().save_model(request, obj, form, change)
        activity_log.record(
            user=navigation.person(request),
            what="page changed",
            subject=f"{obj.slug} ({obj.language})",
            before={"title": before.title, "text": before.text},
            after={"title": obj.title, "text": obj.text},
        )

    @admin.display(description="in the shop")
    def where(self, row: ShopPage) -> str:
        """A link to the page."""
        return facts.link(row.get_absolute_url(), row.get_absolute_url())
