"""Proves that groups of patients are kept by record number in the admin, and disclosures found by it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from backend.apps.core.models import AuditLog
from backend.apps.interop.models import PatientGroup
from backend.apps.interop.tests.fhir.export_rows import make_disclosure
from backend.apps.interop.tests.fhir.makers_of_people import make_group
from backend.apps.patients import merging
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.pages import search

URL = "/admin/interop/patientgroup/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(make_user("admin"))
    return client


def save(client: Client, path: str, **form: Any) -> Any:
    return client.post(f"{URL}{path}", {"name": "Panel", "is_active": "on", **form})


def test_patients_are_put_into_a_group_and_taken_out_by_record_number(client: Client) -> None:
    first, second, third = (make_patient() for _ in range(3))
    save(client, "add/", add=f"{first.medical_record_number}\r\n{second.medical_record_number}\r\n")
    group = PatientGroup.objects.get()
    assert set(group.patients.all()) == {first, second}
    more = f"{second.medical_record_number} {third.medical_record_number}"
    save(client, f"{group.pk}/change/", add=more, take_out=first.medical_record_number)
    assert set(group.patients.all()) == {second, third}
    before, group = group.updated_at, PatientGroup.objects.get()
    assert group.updated_at > before
    assert AuditLog.objects.filter(action="admin.update", resource_id=str(group.pk)).exists()


def test_who_was_removed_or_merged_is_taken_out_by_the_number_they_had(client: Client) -> None:
    removed, gone, stays, other = (make_patient() for _ in range(4))
    group = make_group(removed, gone, other)
    merging.merge(gone, by=None, into=stays)
    removed.delete()
    save(client, f"{group.pk}/change/", take_out=f"{removed.medical_record_number} {gone.medical_record_number}")
    assert [row.patient_id for row in group.members.all()] == [other.pk]
    answer = save(client, f"{group.pk}/change/", add=removed.medical_record_number)
    assert "at place 1 of the list" in "".join(map(str, client.get(answer.url).context["messages"]))


def test_a_number_nobody_has_changes_nothing_and_is_told_by_its_place(client: Client) -> None:
    known = make_patient().medical_record_number
    answer = save(client, "add/", add=f"{known}\nNOBODY-1")
    assert not PatientGroup.objects.exists()
    told = "".join(str(message) for message in client.get(answer.url).context["messages"])
    assert "at place 2 of the list" in told
    assert "NOBODY-1" not in told


def test_a_record_number_finds_what_was_disclosed_of_the_patient(client: Client) -> None:
    patient = make_patient()
    told, _other = make_disclosure(patient), make_disclosure(make_patient())
    found = search(client, "/admin/interop/disclosure/", patient.medical_record_number)
    assert list(found.context["cl"].result_list) == [told]


def test_two_records_that_become_one_are_in_a_group_and_in_a_disclosure_once() -> None:
    gone, stays = make_patient(), make_patient()
    group, told, older = make_group(gone, stays), make_disclosure(gone, stays), make_disclosure(gone)
    merging.merge(gone, by=None, into=stays)
    assert list(group.patients.all()) == [stays]
    assert [row.patient_id for row in told.patients.all()] == [stays.pk]
    assert [row.patient_id for row in older.patients.all()] == [stays.pk]
    assert PatientGroup.objects.get().updated_at > group.updated_at
