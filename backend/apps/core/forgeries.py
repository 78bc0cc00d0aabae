"""Refuses a form that no page of ours made; without a row of it nobody would see what another site tried."""

from __future__ import annotations

import logging

from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse
from django.views.csrf import csrf_failure

from backend.apps.core import audit, refusals
from backend.apps.core.models import AuditLog

ACTION, DOOR, REASON = "refuse_form", "form", "not from a page of ours"
log = logging.getLogger(__name__)


def refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Refuse a form: a row for whoever is signed in, for strangers one a minute. `reason` may quote; it is not kept."""
    if request.user.is_authenticated:
        _note(request)
    else:
        refusals.note(request, DOOR, REASON)
    return csrf_failure(request, reason="")


def _note(request: HttpRequest) -> None:
    detail = {"reason": REASON}
    try:
        with transaction.atomic():
            audit.record(request, ACTION, DOOR, outcome=AuditLog.Outcome.REFUSED, detail=detail)
    except DatabaseError as error:
        log.error("a refusal was not written down: %s", type(error).__name__)
