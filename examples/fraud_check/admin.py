"""The reviews in the admin; it finds this module by itself."""

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from examples.fraud_check.models import FraudReview


@admin.register(FraudReview)
class FraudReviewAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Read, and closed by whoever has looked."""

    list_display = ("order_id", "reasons", "opened_at", "closed_at", "closed_by")
    list_filter = (("closed_at", admin.EmptyFieldListFilter),)
    actions = ("close",)

    @admin.action(description="Close: somebody has looked", permissions=["change"])
    def close(self, request: HttpRequest, queryset: QuerySet[FraudReview]) -> None:
        """Close those that are open."""
        queryset.filter(closed_at=None).update(closed_at=Now(), closed_by=request.user.get_username())

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The check opens them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: FraudReview | None = None) -> bool:
        """Nobody: that there was a review is kept."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: FraudReview | None = None) -> list[str]:
        """All."""
        return [field.name for field in FraudReview._meta.fields]
