"""Keeps the clinic's rules of writing to patients within the law; without it somebody could be texted at night."""

from __future__ import annotations

from datetime import time
from typing import Any

from django.db import transaction

from backend.apps.core.bases import save_changes
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import Clinic
from backend.apps.messaging import phi
from backend.apps.messaging.models import ContactRules

EARLIEST, LATEST = time(8), time(21)  # 47 CFR 64.1200(c)(1)


@transaction.atomic
def write(*, by: Any, **fields: Any) -> ContactRules:
    """Write the one row there is; what is planned already stays where it is."""
    row = ContactRules(**fields)
    row.full_clean()
    _refuse(row)
    list(Clinic.objects.select_for_update(no_key=True).order_by("pk")[:1])  # two at once: the second finds the first
    if ContactRules.objects.exists():
        raise Conflict("There are rules already; change those.")
    row.save(force_insert=True)
    return row


@transaction.atomic
def change(row: ContactRules, *, by: Any, **fields: Any) -> ContactRules:
    """Change the rules; what is planned already stays where it is until somebody has it planned anew."""
    save_changes(row, fields)
    _refuse(row)
    return row


def _refuse(row: ContactRules) -> None:
    if row.opens_at < EARLIEST or row.closes_at > LATEST:
        raise DomainError("Texts may reach a patient between 8:00 and 21:00 only; choose hours within these.")
    if row.texts_a_week < row.texts_a_day:
        raise DomainError("A week cannot have fewer texts than one of its days.")
    for found in phi.findings(row.display_name):
        raise DomainError(f'"{found.word}" cannot stand in the name patients are told: {found.why}.')


def notices(rules: ContactRules, clinic: Clinic) -> list[str]:
    """Return what the clinic should know of how it shows itself to patients; messages are sent nevertheless."""
    told = [
        f'Every message names the clinic, and "{found.word}" says too much: {found.why}. Set another display name.'
        for found in phi.findings(rules.name_of(clinic))
    ]
    if not clinic.phone and not rules.mailbox_of(clinic):
        told.append("Messages tell no way to reach the clinic: it has neither a phone nor a mailbox on file.")
    return told
