"""Holds that the admin writes drafts only, and hides notes from those who have none."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from backend.apps.clinical_notes.models import ClinicalNote, SOAPNote
from backend.apps.clinical_notes.tests.factories import make_note, make_progress, make_soap, make_template
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.pages import search

pytestmark = pytest.mark.django_db

ADMIN = "/admin/clinical_notes"


def signed_in(role: str) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def note_form(**over: Any) -> dict[str, Any]:
    return {"note_type": "progress", "content": "stable", "attachments": "[]", **over}


@pytest.mark.parametrize(
    ("page", "make"),
    [
        ("clinicalnote", make_note),
        ("soapnote", make_soap),
        ("progressnote", make_progress),
        ("clinicalnotetemplate", make_template),
    ],
)
def test_nurses_list_search_and_open_what_the_desk_does_not_see(page: str, make: Any) -> None:
    row = make()
    nurse = signed_in("nurse")
    assert search(nurse, f"{ADMIN}/{page}/", "no such").status_code == 200
    assert nurse.get(f"{ADMIN}/{page}/{row.pk}/change/").status_code == 200
    assert signed_in("receptionist").get(f"{ADMIN}/{page}/").status_code == 403


def test_a_draft_is_written_and_changed() -> None:
    nurse, doctor, patient = signed_in("nurse"), make_doctor(), make_patient()
    form = note_form(patient=patient.pk, doctor=doctor.pk)
    assert nurse.post(f"{ADMIN}/clinicalnote/add/", form).status_code == 302
    note = ClinicalNote.objects.get()
    assert nurse.post(f"{ADMIN}/clinicalnote/{note.pk}/change/", {**form, "content": "worse"}).status_code == 302
    note.refresh_from_db()
    assert (note.content, note.doctor) == ("worse", doctor)


def test_a_signed_note_and_its_parts_are_only_read() -> None:
    part = make_soap()
    part.clinical_note.sign(part.clinical_note.doctor.user)
    note, admin = part.clinical_note, signed_in("admin")
    for url in (f"{ADMIN}/clinicalnote/{note.pk}/", f"{ADMIN}/soapnote/{part.pk}/"):
        assert admin.get(f"{url}change/").status_code == 200
        assert admin.post(f"{url}change/", note_form()).status_code == 403
        assert admin.post(f"{url}delete/", {"post": "yes"}).status_code == 403
    assert ClinicalNote.objects.get(pk=note.pk).content == note.content
    assert SOAPNote.objects.filter(pk=part.pk).exists()
