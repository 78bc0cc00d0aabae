"""Patients as others write them."""

from __future__ import annotations

from typing import Any

from backend.apps.interop.fhir.outcomes import Refusal
from backend.apps.interop.fhir.sources.patient import PATIENTS
from backend.apps.interop.fhir.writing.kinds import Kind
from backend.apps.interop.fhir.writing.moves import differing
from backend.apps.patients import services
from backend.apps.patients.models import Patient
from integrations.fhir.ingress import patient
from integrations.fhir.ingress.patient import PatientIn

# The names of our shape of it, as the model has them.
FIELDS = {
    "mrn": "medical_record_number",
    "family": "last_name",
    "given": "first_name",
    "middle": "middle_name",
    "suffix": "name_suffix",
    "gender": "gender",
    "birth_date": "date_of_birth",
    "deceased": "deceased_at",
    "phone": "phone",
    "email": "email",
    "line1": "address_line1",
    "line2": "address_line2",
    "city": "city",
    "state": "state",
    "postal_code": "postal_code",
    "country": "country",
    "contact_name": "emergency_contact_name",
    "contact_phone": "emergency_contact_phone",
    "contact_relationship": "emergency_contact_relationship",
    "language": "preferred_language",
    "races": "races",
    "ethnicity": "ethnicity",
    "birth_sex": "birth_sex",
    "needs_interpreter": "needs_interpreter",
}
NEVER_EMPTY = frozenset({"mrn", "gender", "birth_date", "country", "language"})  # what is not said of these stays
LINES = frozenset({"line1", "line2"})  # a second line alone is told as the first
ON_FILE = "A patient with these names and this date of birth is already on file."


def create(said: PatientIn, *, by: Any) -> Patient:
    return _done(lambda fields: services.register(by=by, **fields), said)


def update(row: Patient, said: PatientIn, stands: PatientIn, *, by: Any) -> Patient:
    return _done(lambda fields: services.correct(row, by=by, **fields) if fields else row, said, stands)


def _done(service: Any, said: PatientIn, stands: PatientIn | None = None) -> Patient:
    names = differing(said, stands, FIELDS)
    if names & LINES:
        names |= LINES
    fields = {FIELDS[name]: getattr(said, name) for name in names if name not in NEVER_EMPTY or getattr(said, name)}
    if "races" in names:
        fields["races"] = list(said.races)
    try:
        row: Patient = service(fields)
    except services.PossibleDuplicate:
        raise Refusal(ON_FILE, status=409, code="duplicate", at=["Patient.name[0]", "Patient.birthDate"]) from None
    return row


KIND = Kind(
    source=PATIENTS,
    read=patient.read,
    create=create,
    update=update,
    paths={FIELDS[name]: path for name, path in patient.PATHS.items()},
)
