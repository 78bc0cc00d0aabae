"""Says where an alert leads: to the page of what it is about; else whoever reads one would have to search for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.urls import NoReverseMatch, reverse

from backend.apps.core.models import Alert

TONES = {"info": "", "warning": "wait", "critical": "bad"}
# By the kind of row an alert is about: its page, the query that page is cut by, and whether the row's id is part of it.
PAGES: Mapping[str, tuple[str, str, bool]] = MappingProxyType(
    {
        "labfeed": ("console:lab-inbox", "feed={}", False),
        "inboundmessage": ("console:lab-message", "", True),
        "criticalresult": ("console:lab-critical-result", "", True),
        "insuranceclaim": ("console:claim", "", True),
        "interchange": ("console:claim-files", "status=doubt", False),
        "tradingpartner": ("console:claim-files", "", False),
        "inboundfile": ("console:claim-inbound", "", False),
        "reconcilerun": ("console:reconcile-run", "", True),
        "remittance": ("console:remittance", "", True),
        "doctorcredential": ("console:credential", "", True),
        "employeecredential": ("console:credential", "", True),
        "emergencyaccess": ("console:emergency-access", "", True),
    }
)
# By how its kind begins, where no row is named.
BOARDS: Mapping[str, str] = MappingProxyType(
    {
        "beat_": "console:beat",
        "reconcile_": "console:reconcile",
        "retention_": "console:retention",
        "audit_": "console:audit",
        "messages_": "console:reminders",
        "reminders_": "console:reminders",
        "message_": "console:reminder-policies",
        "webhook_": "console:reminders",
        "claims_": "console:claim-files",
        "deposits_": "console:deposits",
        "eligibility_": "console:claim-files",
        "questions_": "console:claim-files",
        "export_": "console:exports",
        "credential_": "console:credentials",
        "registry_": "console:credentials",
        "lab_": "console:lab-inbox",
        "break_glass_": "console:break-glass",
        "broker_": "console:work",
        "sealed_": "console:alerts",
        "certificate_": "console:alerts",
    }
)


def address_of(alert: Alert) -> str:
    """Return the page of what an alert is about, else that of its part of the clinic, else nothing."""
    page, query, has_id = PAGES.get(alert.subject_type, ("", "", False))
    if page:
        found = _reversed(page, [alert.subject_id] if has_id else [])
        return f"{found}?{query.format(alert.subject_id)}" if found and query else found
    model = _model(alert.subject_type)
    if model is not None:
        return _reversed(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", [alert.subject_id])
    board = next((name for start, name in BOARDS.items() if alert.kind.startswith(start)), "")
    return _reversed(board, []) if board else ""


def _model(name: str) -> Any:
    """Return the model of that name whose rows have a page in the admin."""
    registered = admin.site._registry
    return next((model for model in apps.get_models() if model._meta.model_name == name and model in registered), None)


def _reversed(name: str, args: list[str]) -> str:
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""
