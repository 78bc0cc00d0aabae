"""The admin site's sign-in: the same proof, throttle and audit as the API's."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from backend.apps.core import audit
from backend.apps.core.addresses import client_of
from backend.apps.core.models import AuditLog
from backend.apps.users import services, throttle
from backend.apps.users.models import User


class StaffPassword(BaseBackend):
    """Lets active staff in by e-mail address and password. Patients use the API."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **other: Any
    ) -> User | None:
        if not username or password is None:
            return None
        address = client_of(request) if request else ""
        if throttle.attempt(address, username):
            _note(request, None, "throttled")
            raise PermissionDenied
        try:
            user = services.prove(username, password)
        except services.SignInRefused:
            _note(request, None, "credentials")
            return None
        if not user.is_staff:
            _note(request, user, "not staff")
            return None
        throttle.forgive(address, username)
        _note(request, user)
        return user

    def get_user(self, user_id: Any) -> User | None:
        return User.objects.filter(pk=user_id, is_active=True).first()


def _note(request: HttpRequest | None, user: User | None, refusal: str = "") -> None:
    audit.record(
        request,
        "admin.login",
        "user",
        str(user.pk) if user else "",
        outcome=AuditLog.Outcome.REFUSED if refusal else AuditLog.Outcome.ALLOWED,
        detail={"reason": refusal} if refusal else {},
        user=user,
    )
