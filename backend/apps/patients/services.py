"""Registering, correcting and finding patients; without it the same person would be on file twice."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Upper
from django.utils import timezone

from backend.apps.core import closed_values, field_rules
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.roles import Role
from backend.apps.patients import changes, consents, contacts, demographics
from backend.apps.patients.merging import CHANNELS, merge
from backend.apps.patients.models import ConsentMethod, Patient

__all__ = [
    "by_name", "consent", "correct", "duplicates", "formerly", "merge", "next_record_number", "register", "search",
]  # fmt: skip

WHO = ("first_name", "last_name", "date_of_birth")
SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")


class PossibleDuplicate(Conflict):
    """Somebody of these names and date of birth is on file."""

    code = "possible_duplicate"


@transaction.atomic
def register(
    *,
    by: Any,
    confirm_duplicate: bool = False,
    **fields: Any,
) -> Patient:
    """Put a new patient on file; without a record number the next one is given.

    Raises:
        PossibleDuplicate: these names and this birthday are on file, and nobody confirmed that this is someone else.
    """
    if not fields.get("medical_record_number"):
        fields["medical_record_number"] = next_record_number()
    return _save(Patient(), fields, by=by, confirm_duplicate=confirm_duplicate)


@transaction.atomic
def correct(patient: Patient, *, by: Any, confirm_duplicate: bool = False, **fields: Any) -> Patient:
    """Change what is on file. Only the administrator changes a record number: labs know the patient by it."""
    number = fields.get("medical_record_number")
    if number and number.upper() != patient.medical_record_number and getattr(by, "role", None) != Role.ADMIN:
        raise DomainError("Only an administrator may change a record number.")
    moved = any(name in fields and fields[name] != getattr(patient, name) for name in WHO)
    return _save(patient, fields, by=by, confirm_duplicate=confirm_duplicate or not moved)


@transaction.atomic
def consent(
    patient: Patient, *, by: Any, channel: str, given: bool, method: str = ConsentMethod.STAFF, evidence: str = ""
) -> Patient:
    """Note what the patient said about text messages or e-mails, and who was told.

    A number that said STOP stays closed whatever is noted here: only a START texted from it opens it again.
    """
    if consents.record(patient, channel, given, by=by, method=method, evidence=evidence, opens=True):
        changes.tell(patient)
    return patient


def next_record_number() -> str:
    """Return the next free record number, as MRN0000001, from the database's own sequence: none is given twice."""
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nextval('patients_mrn')")
            number = f"MRN{cursor.fetchone()[0]:07d}"
        if not Patient.all_objects.filter(medical_record_number=number).exists():
            return number


def search(patients: QuerySet[Patient], text: str, *, by: Any = None) -> QuerySet[Patient]:
    """Return those of `patients` that every word of `text` fits.

    A word is the beginning of a first or last name or of a record number, a date of birth (1980-05-17 or 5/17/1980),
    a phone number (+14155550100) or an e-mail address; these two whole. Each of them is answered by an index.

    by: finds nobody by what this person does not see of patients; None: sees all.
    """
    for word in text.replace(",", " ").split():
        if by is not None and _told_by(word) in _unseen(by):
            return patients.none()
        patients = patients.filter(_fits(word) | formerly(word))
    return patients


def _told_by(word: str) -> str:
    """Return the field a word is of, where it can be of one only."""
    return "email" if "@" in word else "phone" if word.startswith("+") else ""


def _unseen(by: Any) -> set[str]:
    seen = field_rules.only(Patient, by)
    return set() if seen is None else {"email", "phone"} - seen


def by_name(patients: QuerySet[Patient]) -> QuerySet[Patient]:
    """Return what a search found in the order of names.

    The order is by expressions on purpose: by the plain columns PostgreSQL walks the whole index of names instead of
    sorting the few rows that were found, which costs several times as much at 100,000 patients.
    """
    return patients.order_by(Upper("last_name"), Upper("first_name"), "id")


def duplicates(first_name: str, last_name: str, date_of_birth: date) -> QuerySet[Patient]:
    """Return the patients on file who may be this person."""
    return Patient.objects.filter(
        date_of_birth=date_of_birth, last_name__iexact=last_name.strip(), first_name__iexact=first_name.strip()
    )


def _save(patient: Patient, fields: dict[str, Any], *, by: Any, confirm_duplicate: bool) -> Patient:
    agreed = {channel: fields.pop(f"{channel}_consent") for channel in CHANNELS if f"{channel}_consent" in fields}
    changed = [name for name, value in fields.items() if closed_values.differs(patient, name, value)]
    for name, value in fields.items():
        setattr(patient, name, value)
    demographics.note(patient, changed, at=timezone.now())
    patient.medical_record_number = patient.medical_record_number.upper()
    patient.full_clean()
    if not confirm_duplicate:
        _refuse_duplicate(patient)
    known = not patient._state.adding
    if not known:
        patient.save()
    else:  # not the consents: a STOP that came in meanwhile stays
        patient.save(update_fields=[*changed, "medical_record_number", "demographics_as_of", "updated_at"])
    for channel, given in agreed.items():
        if given != getattr(patient, f"{channel}_consent"):
            consents.record(patient, channel, given, by=by, method=ConsentMethod.STAFF, opens=known)
            changed.append(f"{channel}_consent")
    if known:
        changes.tell(patient, changed)
    return patient


def _refuse_duplicate(patient: Patient) -> None:
    """Refuse who is on file already; two desks that register one person at once wait for each other."""
    key = f"patient {patient.first_name} {patient.last_name} {patient.date_of_birth}".casefold()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
    who = duplicates(patient.first_name, patient.last_name, patient.date_of_birth)
    if who.exclude(pk=patient.pk).exists():
        raise PossibleDuplicate(
            "A patient with these names and this date of birth is already on file. "
            "If this is another person, confirm it with confirm_duplicate."
        )


def _fits(word: str) -> Q:
    if (born := _day(word)) is not None:
        return Q(date_of_birth=born)
    if "@" in word:
        return contacts.living_at("email", word)
    if word.startswith("+"):
        return contacts.living_at("sms", word)
    names = Q(last_name__istartswith=word) | Q(first_name__istartswith=word)
    if any(letter.isdigit() for letter in word):
        return names | Q(medical_record_number__startswith=word.upper())
    return names


def formerly(word: str) -> Q:
    """Find who was on file under this record number before two records were merged."""
    if not any(letter.isdigit() for letter in word):
        return Q()
    merged = Patient.all_objects.filter(medical_record_number=word.upper(), merged_into__isnull=False)
    return Q(pk__in=list(merged.values_list("merged_into", flat=True)))


def _day(word: str) -> date | None:
    slashed = SLASHED.fullmatch(word)
    try:
        if slashed:
            month, day, year = map(int, slashed.groups())
            return date(year, month, day)
        return date.fromisoformat(word) if len(word) == 10 else None
    except ValueError:
        return None
