"""Accounts and groups, in the look of the theme."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group, User
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from shop.admin.site import stale_forms

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(BaseUserAdmin, stale_forms.CheckedAdmin):  # type: ignore[misc, type-arg]  # the theme has no types
    """Buyers with an account, and staff."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, stale_forms.CheckedAdmin):  # type: ignore[misc]  # the theme has no types
    """Sets of permissions."""
