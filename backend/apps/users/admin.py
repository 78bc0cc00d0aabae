"""The admin pages of logins."""

from __future__ import annotations

from typing import ClassVar

from django.contrib import admin

from backend.apps.core.admin import ClinicAdmin
from backend.apps.core.permissions import Table
from backend.apps.users import permissions
from backend.apps.users.models import User


@admin.register(User)
class UserAdmin(ClinicAdmin):
    permissions: ClassVar[Table] = permissions.USERS
    list_display = ("email", "role", "is_active", "last_login")
    list_filter = ("role", "is_active")
    search_fields = ("email", "last_name", "first_name")
