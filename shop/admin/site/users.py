"""Accounts and groups, in the look of the theme."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group, User
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from kafka_bridge import admin as facts

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(BaseUserAdmin, facts.PlainAdmin):  # type: ignore[misc, type-arg]  # the theme has no types
    """Buyers with an account, and staff."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, facts.PlainAdmin):  # type: ignore[misc]  # the theme has no types
    """Sets of permissions."""
