"""Finds whose demographics a message tells; without it a wrong record number would rename somebody."""

from __future__ import annotations

from typing import NamedTuple

from backend.apps.laboratory import matching
from backend.apps.laboratory.matching import Unmatched
from backend.apps.laboratory.models import LabFeed
from backend.apps.laboratory.reports import PatientIn
from backend.apps.patients.merging import survivor
from backend.apps.patients.models import Patient


class Known(NamedTuple):
    """A patient, the record the number belongs to (another one if that was merged), and what vouches for it."""

    patient: Patient
    found_by: Patient
    by_name: bool
    by_birth: bool


def find(feed: LabFeed | None, who: PatientIn) -> Known:
    """Return the one patient of this record number whom the birth date or the whole name fits as well.

    Raises:
        Unmatched: nobody, several, or somebody neither of them fits.
    """
    rows = on_file(feed, who)
    if not rows:
        raise Unmatched("No patient has this record number.")
    if len({survivor(row).pk for row in rows}) > 1:
        raise Unmatched("The record numbers in the message belong to different patients.")
    patient = survivor(rows[0])
    if patient.is_deleted:
        raise Unmatched("The patient of this record number has been removed.")
    by_name = any(_named(row, who) for row in (*rows, patient))
    by_birth = any(row.date_of_birth == who.birth_date for row in (*rows, patient))
    if not (by_name or by_birth):
        raise Unmatched("Neither the name nor the date of birth fits the record number.")
    return Known(patient, rows[0], by_name, by_birth)


def on_file(feed: LabFeed | None, who: PatientIn) -> list[Patient]:
    """Return the records these numbers belong to, merged and removed ones too.

    Raises:
        Unmatched: the message names no number of ours.
    """
    found = matching.as_on_file(matching.numbers_of(feed, who))
    keys = {key for keys in found.values() for key in keys}
    return list(Patient.all_objects.filter(pk__in=keys).order_by("pk"))


def _named(patient: Patient, who: PatientIn) -> bool:
    family, given = who.family_name.strip().casefold(), who.given_name.strip().casefold()
    return (family, given) == (patient.last_name.casefold(), patient.first_name.casefold())
