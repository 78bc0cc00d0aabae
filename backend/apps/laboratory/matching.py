"""Finds the patient a report belongs to; without this a result could land in the wrong chart.

It never guesses and never makes a patient: what does not fit goes to the worklist, with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Q

from backend.apps.laboratory.models import InboundMessage, LabFeed, MatchPolicy
from backend.apps.laboratory.reports import PatientIn, ReportIn
from backend.apps.patients.models import Patient

LONGEST_NUMBER = 32  # characters of a record number
MOST_SUGGESTIONS = 5
SEXES = {"F": "female", "M": "male", "O": "other"}


class Unmatched(Exception):
    """A person has to decide where this belongs; the reason is a sentence without patient data."""


class Moved(Exception):
    """A patient was merged while we looked; look again."""


class People:
    """The patients some reports name, found in a few queries and locked in one order: one filing at a time for each."""

    def __init__(self, asked: Sequence[tuple[InboundMessage, ReportIn]]) -> None:
        numbers = {number for message, report in asked for number in _safe_numbers(message.feed, report.patient)}
        self._spelled = as_on_file(numbers)
        wanted = {pk for found in self._spelled.values() for pk in found}
        wanted |= {message.assigned_patient_id for message, _ in asked if message.assigned_patient_id}
        self._rows = _locked(wanted)
        self._merged: dict[UUID, list[UUID]] = {}
        if self._rows:
            links = Patient.all_objects.filter(merged_into__in=self._rows).order_by("pk")
            for row in links.only("merged_into"):
                if row.merged_into_id:
                    self._merged.setdefault(row.merged_into_id, []).append(row.pk)

    def formerly(self, patient: Patient) -> list[UUID]:
        """Return the keys of the records that were merged into this one."""
        return self._merged.get(patient.pk, [])

    def whose(self, message: InboundMessage, who: PatientIn, *, alone: bool) -> Patient:
        """Return whose report it is. alone: the message names nobody else, so what a person decided counts.

        Raises:
            Unmatched: nobody, several, or somebody the rest of the message does not fit.
        """
        if message.assigned_patient_id and alone:
            return self._kept(self._rows[message.assigned_patient_id])
        if message.feed is not None and message.feed.match_policy == MatchPolicy.WORKLIST:
            raise Unmatched("A person decides about every message of this laboratory.")
        found = self._named(numbers_of(message.feed, who))
        if not any(_stranger(row, who) is None for row in found):
            raise Unmatched(_stranger(found[-1], who) or "")
        return found[-1]

    def _named(self, numbers: Iterable[str]) -> list[Patient]:
        """Return the one patient of these numbers; before it the record it was found by, if that was merged."""
        rows = {pk: self._rows[pk] for number in numbers for pk in self._spelled.get(number, ())}
        if not rows:
            raise Unmatched("No patient has this record number.")
        kept = {row.pk: row for row in map(self._kept, rows.values())}
        if len(kept) > 1:
            raise Unmatched("The record numbers in the message belong to different patients.")
        return [*rows.values(), *kept.values()]

    def _kept(self, row: Patient) -> Patient:
        if row.merged_into_id:
            if row.merged_into_id not in self._rows:
                raise Moved
            row = self._rows[row.merged_into_id]
        if row.is_deleted:
            raise Unmatched("The patient of this record number has been removed.")
        return row


def numbers_of(feed: LabFeed | None, who: PatientIn) -> list[str]:
    """Return the record numbers of ours a message names: of our assigning authority, where the feed says which that is.

    Raises:
        Unmatched: it names none.
    """
    sent = [(spelled(number), authority.strip().casefold()) for number, authority in who.identifiers]
    ours = feed.assigning_authority.strip().casefold() if feed else ""
    if ours:
        named = [number for number, authority in sent if authority == ours]
        silent = [number for number, authority in sent if not authority]
        strict = feed is not None and feed.match_policy == MatchPolicy.AUTHORITY
        numbers = named or ([] if strict else silent)
    else:
        numbers = [number for number, _ in sent]
    numbers = [number for number in numbers if number]
    if not numbers:
        raise Unmatched(
            "The message names no record number of ours." if sent else "The message names no record number."
        )
    return numbers


def _safe_numbers(feed: LabFeed | None, who: PatientIn) -> list[str]:
    try:
        return numbers_of(feed, who)
    except Unmatched:
        return []


def spelled(number: str) -> str:
    """Return a record number as we write it: capital letters, no blanks."""
    return "".join(number.replace("\x00", "").split()).upper()


def as_on_file(numbers: Collection[str]) -> dict[str, list[UUID]]:
    """Return who has each number: as written, else the one number that differs in leading zeros only."""
    found: dict[str, list[UUID]] = {}
    rows = Patient.all_objects.filter(medical_record_number__in=sorted(numbers)) if numbers else Patient.objects.none()
    for number, pk in rows.values_list("medical_record_number", "pk"):
        found[number] = [pk]
    missing = {number: with_zeros(number) for number in set(numbers) - set(found)}
    variants = sorted({variant for each in missing.values() for variant in each})
    if variants:
        near = Patient.all_objects.filter(medical_record_number__in=variants)
        on_file = dict(near.values_list("medical_record_number", "pk"))
        for number, each in missing.items():
            same = [on_file[variant] for variant in each if variant in on_file]
            if len(same) == 1:
                found[number] = same
    return found


def with_zeros(number: str) -> list[str]:
    """Return the number with every count of leading zeros it could have on file."""
    bare = number.lstrip("0")
    return [bare.rjust(length, "0") for length in range(max(len(bare), 1), LONGEST_NUMBER + 1)] if bare else []


def _locked(wanted: set[UUID]) -> dict[UUID, Patient]:
    """Lock these patients and those they were merged into, in the order of their keys."""
    if not wanted:
        return {}
    into = Patient.all_objects.filter(pk__in=wanted, merged_into__isnull=False).values_list("merged_into", flat=True)
    rows = Patient.all_objects.select_for_update(no_key=True).filter(pk__in=wanted | set(into)).order_by("pk")
    names = ("medical_record_number", "first_name", "last_name", "date_of_birth", "gender", "is_deleted")
    return {row.pk: row for row in rows.only(*names, "merged_into_id")}


def _stranger(patient: Patient, who: PatientIn) -> str | None:
    """Return why this is somebody else, None when nothing speaks against it.

    A date of birth that is missing or cannot be read counts as neither for nor against; then both names have to fit.
    """
    family, given = who.family_name.strip().casefold(), who.given_name.strip().casefold()
    same_family, same_given = family == patient.last_name.casefold(), given == patient.first_name.casefold()
    if who.birth_date is None and not (same_family and same_given):
        return "The message has no date of birth, and the name does not fit the record number."
    if who.birth_date is not None and who.birth_date != patient.date_of_birth:
        return "The date of birth does not fit the record number."
    if family and given and not (same_family or same_given):
        return "The name does not fit the record number."
    return None


def suggestions(who: PatientIn) -> list[tuple[Patient, str]]:
    """Return patients this may be, the likeliest first, each with why in a sentence; a person decides.

    Only for the worklist: nothing is ever filed by a suggestion.
    """
    numbers = {variant for number, _ in who.identifiers for variant in with_zeros(spelled(number))}
    family, given = who.family_name.strip(), who.given_name.strip()
    asked = Q(medical_record_number__in=sorted(numbers)) if numbers else Q(pk__in=[])
    if who.birth_date:
        if family:
            asked |= Q(date_of_birth=who.birth_date, last_name__iexact=family)
        if given:
            asked |= Q(date_of_birth=who.birth_date, first_name__iexact=given)
    if family and given:
        asked |= Q(last_name__iexact=family, first_name__iexact=given)
    found = [(patient, _alike(patient, who, numbers)) for patient in Patient.objects.filter(asked).order_by("pk")[:50]]
    found.sort(key=lambda pair: -len(pair[1]))
    return [(patient, _sentence(alike)) for patient, alike in found[:MOST_SUGGESTIONS]]


def _alike(patient: Patient, who: PatientIn, numbers: set[str]) -> list[str]:
    same: dict[str, Any] = {
        "record number": patient.medical_record_number in numbers,
        "family name": who.family_name.strip().casefold() == patient.last_name.casefold(),
        "given name": who.given_name.strip().casefold() == patient.first_name.casefold(),
        "date of birth": who.birth_date == patient.date_of_birth,
        "sex": SEXES.get(who.sex.strip().upper()[:1]) == patient.gender,
    }
    return [name for name, fits in same.items() if fits]


def _sentence(alike: list[str]) -> str:
    *most, last = alike
    verb = "fit" if most else "fits"
    told = f"{', '.join(most)} and {last} {verb}." if most else f"{last} {verb}."
    return told[0].upper() + told[1:]
