"""Ends sign-ins whose time is over when somebody comes with one; else nobody would be told why they begin anew."""

from __future__ import annotations

from uuid import UUID

from django.db.models.functions import Now

from backend.apps.core import audit
from backend.apps.core.models import AuditLog
from backend.apps.users.models import Ended, LoginSession
from backend.apps.users.models.sessions import absolute, idle

ENDS = {Ended.EXPIRED: "created_at", Ended.IDLE: "last_seen_at"}


def end(session_id: UUID) -> str:
    """End this session if it lived too long or was left alone, and write that down once; return why, else nothing."""
    live = LoginSession.objects.live().filter(pk=session_id)
    for why, lasting in ((Ended.EXPIRED, absolute()), (Ended.IDLE, idle())):
        if live.filter(**{f"{ENDS[why]}__lte": Now() - lasting}).revoke(why):
            user = LoginSession.objects.select_related("user").get(pk=session_id).user
            outcome = AuditLog.Outcome.REFUSED
            audit.record(
                None, "session.timeout", "user", str(user.pk), outcome=outcome, detail={"why": str(why)}, user=user
            )
            return str(why)
    return ""
