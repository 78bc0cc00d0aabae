"""What the front desk has to do: opened once, closed with a note; without it a wish would be told twice or never."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from backend.apps.core.exceptions import Conflict
from backend.apps.messaging.models import StaffTask
from backend.apps.patients.models import Patient


@transaction.atomic
def open_once(
    kind: str, cause: str, sentence: str, *, patient: Patient | None, subject_id: Any = None, note: str = ""
) -> StaffTask:
    """Open a task unless one of the same `cause` ("reschedule:<visit>") is open.

    The sentence names nobody; what people wrote is the note.
    """
    fields = {"kind": kind, "sentence": sentence, "patient": patient, "subject_id": subject_id, "note": note}
    task, _ = StaffTask.objects.get_or_create(cause=cause, done_at=None, defaults=fields)
    return task


@transaction.atomic
def complete(task: StaffTask, *, by: Any, note: str = "") -> StaffTask:
    """Note that it is done; what the patient wrote stays below it, as far as there is room."""
    open_ones = StaffTask.objects.filter(pk=task.pk, done_at__isnull=True)
    told = "\n".join(filter(None, [note.strip(), task.note]))[:300]
    if not open_ones.update(done_at=timezone.now(), done_by=by, note=told, updated_at=timezone.now()):
        raise Conflict("This task is done already.")
    task.refresh_from_db()
    return task
