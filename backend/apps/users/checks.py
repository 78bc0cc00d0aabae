"""What is wrong with the settings of signing in, told before anybody signs in."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError
from django.db.models import Exists, OuterRef

from backend.apps.core.roles import STAFF
from backend.apps.users import breached


@register(Tags.security)
def leaked_passwords_can_be_looked_up(**_: Any) -> list[CheckMessage]:
    """Refuse a file of leaked passwords that a search would find nothing in."""
    if not settings.BREACHED_PASSWORDS:
        return []
    try:
        breached.check(settings.BREACHED_PASSWORDS)
    except breached.WrongFile as wrong:
        return [Error(f"CARERELAY_BREACHED_PASSWORDS: {wrong}.", id="users.E001")]
    return []


@register(Tags.security, deploy=True)
def staff_have_a_second_step(**_: Any) -> list[CheckMessage]:
    """Warn of staff whose password alone opens the clinic."""
    if settings.STAFF_MFA == "required":
        return []
    devices = apps.get_model("users", "Authenticator").objects.filter(user=OuterRef("pk"), confirmed_at__isnull=False)
    staff = apps.get_model("users", "User").objects.filter(~Exists(devices), is_active=True, role__in=STAFF)
    try:
        count = staff.count()
    except DatabaseError:
        return [
            Warning("CARERELAY_STAFF_MFA is optional, and nobody could count who has no second step.", id="users.W002")
        ]
    if not count:
        return []
    who = "1 member of the staff signs" if count == 1 else f"{count} members of the staff sign"
    hint = "Set CARERELAY_STAFF_MFA=required: each sets one up at the next sign-in."
    return [Warning(f"{who} in by a password alone.", hint, id="users.W001")]
