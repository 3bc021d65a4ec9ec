"""Controls of groups in the admin: what people had groups do, by whom and why. Read only."""

from django.contrib import admin

from kafka_bridge import theme
from kafka_bridge.admin import pages
from kafka_bridge.consuming import controls
from kafka_bridge.models import GroupControl


@admin.register(GroupControl)
class GroupControlAdmin(pages.FactsAdmin):
    """Newest first."""

    list_display = ("id", "what", "place", "who", "why", "when", "state")
    list_display_links = ("id", "what")
    list_filter = ("kind",)
    ordering = ("-id",)
    fieldsets = ((None, {"fields": ("what", "place", "member_id", "who", "why", "when", "state", "ended")}),)
    readonly_fields = ("what", "place", "member_id", "who", "why", "when", "state", "ended")

    class Media:
        """What the pages need besides the admin's own styles."""

        css = theme.STYLES

    @admin.display(description="what")
    def what(self, control: GroupControl) -> str:
        """In words."""
        return control.get_kind_display()

    @admin.display(description="whom")
    def place(self, control: GroupControl) -> str:
        """Group, topic and partition."""
        return str(controls.place_of(control))

    @admin.display(description="why")
    def why(self, control: GroupControl) -> str:
        """The reason."""
        return control.reason

    @admin.display(description="when")
    def when(self, control: GroupControl) -> str:
        """Since when."""
        return pages.moment(control.at)

    @admin.display(description="state")
    def state(self, control: GroupControl) -> str:
        """Whether a pause is in force."""
        if control.kind != GroupControl.Kind.PAUSE:
            return ""
        return pages.label("in force", "warning") if control.ended_at is None else pages.label("over")

    @admin.display(description="ended")
    def ended(self, control: GroupControl) -> str:
        """By whom and why it was ended."""
        if control.ended_at is None:
            return ""
        return f"{control.ended_by}: {control.ended_because}"
