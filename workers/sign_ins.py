"""Mails the owner of a login what happened to it; without it somebody else could change it and nobody would know."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.users.models import LoginNotice, Notice
from integrations.email import Email
from workers import gateways
from workers.celery_app import app
from workers.runner import NotNeeded, drain

SUBJECTS: Mapping[str, str] = MappingProxyType(
    {
        Notice.LOCKED: "your login was locked for a quarter of an hour",
        Notice.CODES_LOCKED: "your login was locked for a quarter of an hour",
        Notice.ENROLLED: "a second step protects your login",
        Notice.CODES: "new recovery codes for your login",
        Notice.RECOVERED: "a recovery code was used",
        Notice.RESET: "the second step of your login was taken off",
        Notice.REUSED: "a sign-in of yours was ended",
    }
)
WORDS: Mapping[str, str] = MappingProxyType(
    {
        Notice.LOCKED: "Somebody tried too many passwords at your login, and none was right. It opens again by itself.",
        Notice.CODES_LOCKED: "Somebody knows your password and tried too many codes. Change the password.",
        Notice.ENROLLED: "A device was set up that shows codes for your login, and your other sign-ins have ended.",
        Notice.CODES: "New recovery codes were made for your login; the old ones are void.",
        Notice.RECOVERED: "Somebody signed in or changed your second step by one of your recovery codes.",
        Notice.RESET: "The second step of your login was taken off, and every sign-in has ended.",
        Notice.REUSED: "A key of one of your sign-ins came twice, so two hold a copy of it. That sign-in has ended.",
    }
)
NOT_YOU = "If this was not you, call the clinic's administrator now."


@app.task(name="alerts.tell_owner")  # type: ignore[untyped-decorator]  # Celery has no types
def tell_due() -> str:
    return drain(LoginNotice, tell)


def tell(notice: LoginNotice) -> dict[str, Any]:
    """Send one mail about a login; return the fields to save with success.

    Never runs twice after it began to send: a lost answer is held for a person.
    """
    user = notice.user
    if user is None or not user.is_active:
        raise NotNeeded("Nobody has this login.")
    lines = [WORDS[notice.kind], NOT_YOU, f"{settings.PUBLIC_BASE_URL}/account/"]
    subject = f"{Clinic.current().name}: {SUBJECTS[notice.kind]}"
    attempt_id = f"{notice.pk}.{notice.lease_no}"
    headers = {"Auto-Submitted": "auto-generated"}
    gateways.email().send(Email(user.email, subject, "\n\n".join(lines) + "\n", attempt_id, headers=headers))
    return {"sent_at": timezone.now()}
