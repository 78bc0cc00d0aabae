"""Writing, signing and amending notes: views, admin and importers all come here."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from backend.apps.clinical_notes.models import ClinicalNote, ClinicalNoteTemplate, ProgressNote, SOAPNote
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.roles import Role
from backend.apps.doctors.models import Doctor
from backend.apps.patients import emergencies

COPIED = (
    "patient", "doctor", "appointment", "note_type", "chief_complaint", "content", "diagnosis", "treatment_plan",
    "follow_up_instructions", "follow_up_date", "attachments",
)  # fmt: skip


@transaction.atomic
def write(*, by: Any, doctor: Doctor | None = None, **fields: Any) -> ClinicalNote:
    """Begin a note. A doctor writes notes of their own; others name the doctor who will sign."""
    note = ClinicalNote(doctor=_writer(by, doctor), **fields)
    note.full_clean()
    note.save(force_insert=True)
    return note


@transaction.atomic
def rewrite(note: ClinicalNote, *, by: Any, **fields: Any) -> ClinicalNote:
    """Change a draft. What is signed is amended instead."""
    note.refuse_if_signed()
    check_own(note, by=by)
    if fields.get("patient", note.patient) != note.patient:
        raise DomainError("The patient of a note cannot change; write another note.")
    if "doctor" in fields:
        fields["doctor"] = _writer(by, fields["doctor"])
    for name, value in fields.items():
        setattr(note, name, value)
    note.full_clean()
    note.save()
    return note


@transaction.atomic
def sign(note: ClinicalNote, *, by: Any) -> ClinicalNote:
    """Sign a note as its own doctor: from now on it stays as it is."""
    note.sign(by)
    return note


@transaction.atomic
def amend(note: ClinicalNote, *, by: Any) -> ClinicalNote:
    """Begin a new note that corrects this signed one: a copy of it with its parts, to be changed and signed."""
    if not note.is_signed:
        raise DomainError("This note is a draft; change it instead.")
    emergencies.refuse_shut(note.patient, by=by)
    draft = ClinicalNote(amends=note, **{name: getattr(note, name) for name in COPIED})
    if getattr(by, "role", None) == Role.DOCTOR:
        draft.doctor = _writer(by, None)
    try:
        with transaction.atomic():
            draft.save(force_insert=True)
    except IntegrityError:
        raise Conflict("Somebody is already writing an amendment of this note.") from None
    for kind in (SOAPNote, ProgressNote):
        for part in kind.objects.filter(clinical_note=note):
            part.copy_to(draft).save(force_insert=True)
    return draft


@transaction.atomic
def write_part(model: type[Any], *, by: Any, clinical_note: ClinicalNote, **fields: Any) -> Any:
    """Add a structured part to a draft."""
    check_own(clinical_note, by=by)
    part = model(clinical_note=clinical_note, **fields)
    part.full_clean()
    part.save(force_insert=True)
    return part


@transaction.atomic
def rewrite_part(part: Any, *, by: Any, **fields: Any) -> Any:
    """Change a structured part of a draft; it stays with its note."""
    check_own(part.clinical_note, by=by)
    if fields.pop("clinical_note", part.clinical_note) != part.clinical_note:
        raise DomainError("This belongs to its note and cannot move to another.")
    part.clinical_note.refuse_if_signed()
    for name, value in fields.items():
        setattr(part, name, value)
    part.full_clean()
    part.save()
    return part


def write_soap(**fields: Any) -> Any:
    return write_part(SOAPNote, **fields)


def write_progress(**fields: Any) -> Any:
    return write_part(ProgressNote, **fields)


@transaction.atomic
def keep_template(*, by: Any, doctor: Doctor | None = None, **fields: Any) -> ClinicalNoteTemplate:
    """Keep a template: a doctor's own, or everybody's when an administrator names no doctor."""
    return _save_template(ClinicalNoteTemplate(), by, doctor=doctor, **fields)


@transaction.atomic
def change_template(template: ClinicalNoteTemplate, *, by: Any, **fields: Any) -> ClinicalNoteTemplate:
    check_own(template, by=by)
    return _save_template(template, by, **fields)


def _save_template(template: ClinicalNoteTemplate, by: Any, **fields: Any) -> ClinicalNoteTemplate:
    for name, value in fields.items():
        setattr(template, name, value)
    if getattr(by, "role", None) == Role.DOCTOR:
        template.doctor = _writer(by, template.doctor)
    template.full_clean()
    template.save()
    return template


def _writer(by: Any, doctor: Doctor | None) -> Doctor:
    """Return the doctor a note belongs to: the writer, when a doctor writes it."""
    if getattr(by, "role", None) == Role.DOCTOR:
        own: Doctor | None = Doctor.objects.filter(user=by).first()
        if own is None:
            raise DomainError("Your login belongs to no doctor on file.")
        if doctor not in (None, own):
            raise DomainError("A doctor writes notes of their own only.")
        return own
    if doctor is None:
        raise DomainError("Name the doctor who will sign this note.")
    return doctor


def check_own(row: ClinicalNote | ClinicalNoteTemplate, *, by: Any) -> None:
    """Refuse a doctor who changes or removes a note or template that is not their own."""
    if getattr(by, "role", None) == Role.DOCTOR and (row.doctor is None or row.doctor.user_id != by.pk):
        raise DomainError(f"Only the doctor of this {row._meta.verbose_name} may change it.")
