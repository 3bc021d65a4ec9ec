"""Accounts and groups, in the look of the theme, and who may give which rights.

# Note [Rights come from superusers]
The permission to change accounts is for those of buyers. Whoever could change the rights or the password of staff could
be anybody. So flags, permissions and groups are given and taken by superusers only, accounts that have any
are changed and deleted by superusers only, and so are groups.
"""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from shop.admin.site import stale_forms

admin.site.unregister(User)
admin.site.unregister(Group)
RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False)) and request.user.is_active


def has_rights(user: User) -> bool:
    """Whether the account may do more than a buyer's."""
    return user.is_staff or user.is_superuser or user.groups.exists() or user.user_permissions.exists()


@admin.register(User)
class UserAdmin(BaseUserAdmin, stale_forms.CheckedAdmin):  # type: ignore[misc, type-arg]  # the theme has no types
    """Buyers with an account, and staff. See Note [Rights come from superusers]."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Accounts of buyers; a superuser may change all."""
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Accounts of buyers; a superuser may delete all."""
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Rights are shown, and only a superuser gives them."""
        fixed: tuple[str, ...] = tuple(super().get_readonly_fields(request, obj))
        return fixed if _is_superuser(request) else (*fixed, *RIGHTS)

    def _may_touch(self, request: HttpRequest, obj: User | None) -> bool:
        return obj is None or _is_superuser(request) or not has_rights(obj)


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, stale_forms.CheckedAdmin):  # type: ignore[misc]  # the theme has no types
    """Sets of permissions; read by those who may view them, written by superusers."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """See Note [Rights come from superusers]."""
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """See Note [Rights come from superusers]."""
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """See Note [Rights come from superusers]."""
        return _is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Who may view groups, or had the permission to change them."""
        return request.user.has_perm("auth.view_group") or request.user.has_perm("auth.change_group")
