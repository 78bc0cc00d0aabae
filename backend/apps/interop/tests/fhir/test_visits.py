"""Proves what visits and the vital signs of notes say as FHIR."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.utils import timezone

from backend.apps.appointments.models import AppointmentStatus
from backend.apps.clinical_notes import services as notes
from backend.apps.clinical_notes.tests.factories import make_note
from backend.apps.interop.fhir.source import Source
from backend.apps.interop.fhir.sources.orders import ORDERS, REPORTS, SPECIMENS
from backend.apps.interop.fhir.sources.visits import APPOINTMENTS, ENCOUNTERS
from backend.apps.interop.fhir.sources.vital_signs import VITALS
from backend.apps.interop.tests.fhir.clinical_makers import (
    MAKERS,
    bare_visit,
    measured_note,
)
from backend.apps.interop.tests.fhir.test_clinical import gone, only, told
from backend.apps.laboratory.tests.factories import NOON
from integrations.fhir.resources.appointment import STATUSES as OF_APPOINTMENTS
from integrations.fhir.resources.encounter import STATUSES as OF_ENCOUNTERS

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", AppointmentStatus.values)
def test_a_visit_is_an_encounter_once_the_patient_has_come(status: str) -> None:
    row = bare_visit(status)
    assert only(APPOINTMENTS, row)["status"] == OF_APPOINTMENTS[status]
    come = {OF_ENCOUNTERS[status]} if status in OF_ENCOUNTERS else set()
    assert {one["status"] for one in told(ENCOUNTERS, row)} == come


def test_an_encounter_by_video_is_virtual() -> None:
    assert only(ENCOUNTERS, bare_visit("in_progress"))["class"]["code"] == "VR"
    assert only(ENCOUNTERS, bare_visit("completed"))["class"]["code"] == "AMB"


def test_who_came_and_left_again_has_no_encounter_any_more() -> None:
    row = bare_visit("cancelled", checked_in_at=NOON)
    bare_visit("cancelled")
    assert gone(ENCOUNTERS) == [str(row.pk)]


def test_a_signed_note_has_an_observation_for_each_vital_sign() -> None:
    row = measured_note()
    found = {one["id"].removeprefix(f"{row.pk}-"): one for one in told(VITALS, row)}
    assert set(found) == {
        "bp", "heart-rate", "respiratory-rate", "body-temperature", "body-weight", "body-height", "oxygen-saturation",
        "bmi",
    }  # fmt: skip
    assert [part["valueQuantity"]["value"] for part in found["bp"]["component"]] == [120, 80]
    assert str(found["body-temperature"]["valueQuantity"]["value"]) == "37.0"
    assert found["bmi"]["valueQuantity"]["value"] == row.bmi
    assert found["bmi"]["derivedFrom"] == [
        {"reference": f"Observation/{row.pk}-body-weight"}, {"reference": f"Observation/{row.pk}-body-height"}
    ]  # fmt: skip


def test_vital_signs_that_were_not_taken_or_signed_are_no_observations() -> None:
    row = measured_note(height=None, heart_rate=None)
    kinds = {one["id"].removeprefix(f"{row.pk}-") for one in told(VITALS, row)}
    assert not kinds & {"body-height", "heart-rate", "bmi"}
    draft = notes.amend(row.clinical_note, by=row.clinical_note.doctor.user)
    assert told(VITALS, draft.soap_note) == []
    assert len(told(VITALS, row)) == len(kinds)


def test_a_signed_amendment_takes_the_place_of_the_vital_signs_it_says_anew() -> None:
    row = measured_note()
    names = {one["id"] for one in told(VITALS, row)}
    draft = notes.amend(row.clinical_note, by=row.clinical_note.doctor.user)
    draft.sign(draft.doctor.user)
    assert told(VITALS, row) == []
    assert gone(VITALS) == sorted(names)
    assert {one["status"] for one in told(VITALS, draft.soap_note)} == {"amended"}


def test_of_two_amendments_the_last_one_signed_holds() -> None:
    row = measured_note(make_note())
    doctor = row.clinical_note.doctor.user
    (first, second), drafts = [row.clinical_note] * 2, []
    for note in (first, second):
        drafts.append(notes.amend(note, by=doctor))
        drafts[-1].sign(doctor)
    again = notes.amend(drafts[0], by=doctor)
    again.sign(doctor)
    stale = [row, *(draft.soap_note for draft in drafts)]
    assert [told(VITALS, one) for one in stale] == [[], [], []]
    found = told(VITALS, again.soap_note)
    assert gone(VITALS) == sorted(
        one["id"].replace(str(again.soap_note.pk), str(old.pk)) for old in stale for one in found
    )
    written = {datetime.fromisoformat(one["effectiveDateTime"]) for one in found}
    assert written == {first.created_at.replace(microsecond=first.created_at.microsecond // 1000 * 1000)}


@pytest.mark.parametrize("source", [APPOINTMENTS, ORDERS, REPORTS, SPECIMENS], ids=lambda source: source.name)
def test_what_was_deleted_is_told_by_its_id(source: Source) -> None:
    row = MAKERS[source.name][0]()
    type(row)._base_manager.filter(pk=row.pk).update(is_deleted=True, deleted_at=timezone.now())
    assert gone(source) == [str(row.pk)]
