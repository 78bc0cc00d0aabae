"""Makes notes for tests; without it each test would spell out a patient, a doctor and a text."""

from __future__ import annotations

import secrets
from typing import Any

from backend.apps.clinical_notes.models import ClinicalNote, ClinicalNoteTemplate, ProgressNote, SOAPNote
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients.tests.factories import make_patient


def make_note(*, signed: bool = False, **over: Any) -> ClinicalNote:
    """Save a draft; `signed` has its own doctor sign it."""
    over.setdefault("patient", None)
    over.setdefault("doctor", None)
    fields = {
        "note_type": "soap",
        "chief_complaint": "cough",
        "content": "Cough for three days, no fever.",
        **over,
        "patient": over["patient"] or make_patient(),
        "doctor": over["doctor"] or make_doctor(),
    }
    note = ClinicalNote.objects.create(**fields)
    if signed:
        note.sign(note.doctor.user)
    return note


def make_soap(**over: Any) -> SOAPNote:
    over.setdefault("clinical_note", None)
    note = over.pop("clinical_note") or make_note()
    return SOAPNote.objects.create(clinical_note=note, **{"subjective": "feels better", **over})


def make_progress(**over: Any) -> ProgressNote:
    over.setdefault("clinical_note", None)
    note = over.pop("clinical_note") or make_note(note_type="progress")
    return ProgressNote.objects.create(clinical_note=note, **{"current_status": "stable", **over})


def make_template(**over: Any) -> ClinicalNoteTemplate:
    """Save a template that everybody sees, unless a doctor is named."""
    fields = {"name": f"Visit {secrets.token_hex(4)}", "template_content": "Subjective:\nObjective:\n"}
    return ClinicalNoteTemplate.objects.create(**{**fields, **over})
