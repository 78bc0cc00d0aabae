"""The admin pages of logins and of their sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from backend.apps.core.admin import ClinicAdmin, ReadOnlyAdmin
from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import READ, Table, allow, may
from backend.apps.users import permissions, services
from backend.apps.users.authentication import caller
from backend.apps.users.models import LoginSession, User

admin.site.unregister(Group)  # roles decide here; a group page would promise what it cannot keep


class PasswordForm(AdminPasswordChangeForm):
    def save(self, commit: bool = True) -> User:
        """Set the password the service's way: every session ends, of tokens and of cookies."""
        new = self.cleaned_data["password1"] if self.cleaned_data.get("set_usable_password", True) else None
        return services.set_password(self.user, new=new)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ClinicAdmin):
    permissions: ClassVar[Table] = permissions.USERS
    updates = services.update
    form, add_form, change_password_form = UserChangeForm, UserCreationForm, PasswordForm
    list_display = ("email", "last_name", "first_name", "role", "is_active", "is_verified", "last_login")
    list_filter = ("role", "is_active", "is_verified")
    search_fields = ("email", "last_name", "first_name")
    ordering = ("email",)
    filter_horizontal = ()
    readonly_fields = ("is_active", "deactivated_at", "deactivated_because", "last_login", "created_at")
    actions = ("close", "reopen", "unlock", "take_off_second_step")
    fieldsets = (
        (None, {"fields": ("email", "password", "role", "is_verified")}),
        ("Person", {"fields": ("first_name", "last_name", "phone", "date_of_birth", "profile_picture")}),
        ("State", {"fields": readonly_fields}),
    )
    add_fieldsets = ((None, {"fields": ("email", "role", "first_name", "last_name", "password1", "password2")}),)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only the administrator: this form holds more than the own names and phone number."""
        return may(request.user, "update", self.permissions)

    def has_deactivate_permission(self, request: HttpRequest) -> bool:
        return may(request.user, "deactivate", self.permissions)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        fields = {name: form.cleaned_data[name] for name in ("email", "role", "first_name", "last_name")}
        made = services.create(by=caller(request), password=form.cleaned_data["password1"], **fields)
        obj.pk = made.pk
        obj.refresh_from_db()

    @admin.action(description="Close the selected logins", permissions=["deactivate"])
    def close(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._each(request, queryset, services.deactivate)

    @admin.action(description="Open the selected logins again", permissions=["deactivate"])
    def reopen(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._each(request, queryset, services.reactivate)

    @admin.action(description="Unlock the selected logins", permissions=["deactivate"])
    def unlock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._each(request, queryset, services.unlock)

    @admin.action(description="Take off the second step of the selected logins", permissions=["deactivate"])
    def take_off_second_step(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._each(request, queryset, services.reset_second_step)

    def _each(self, request: HttpRequest, users: QuerySet[User], service: Callable[..., User]) -> None:
        for user in users:
            try:
                service(user, by=caller(request))
            except DomainError as refusal:
                messages.error(request, str(refusal))
            else:
                self._note(request, f"admin.{service.__name__}", str(user.pk), row=user)


@admin.register(LoginSession)
class LoginSessionAdmin(ReadOnlyAdmin):
    permissions: ClassVar[Table] = allow(READ)
    list_display = ("user", "kind", "stage", "created_at", "last_seen_at", "revoked_at", "revoked_because")
    list_filter = ("kind", "revoked_because")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    exclude = ("refresh_jti",)
