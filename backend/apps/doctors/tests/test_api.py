"""Proves who may see and change what about doctors over HTTP."""

from __future__ import annotations

import io
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image
from rest_framework.test import APIClient

from backend.apps.core.models import AuditLog, Clinic
from backend.apps.doctors.models import Doctor, DoctorAvailability, DoctorCredential, Specialization
from backend.apps.doctors.tests.factories import (
    make_availability,
    make_credential,
    make_dea,
    make_doctor,
    make_npi,
    make_specialization,
)
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for
from tests.support.pages import search

DOCTORS, CREDENTIALS, HOURS = "/api/v1/doctors/", "/api/v1/doctor-credentials/", "/api/v1/doctor-availabilities/"
LICENSE = {
    "credential_type": "state_license", "issuing_organization": "State board", "number": "7",
    "state": "NY", "issue_date": "2024-01-01", "expiry_date": "2099-01-01",
}  # fmt: skip
PDF = b"%PDF-1.7\n%%EOF\n"


class TestSpecializations(ApiContract):
    url = "/api/v1/specializations/"
    reader = "pharmacist"

    def make(self) -> Specialization:
        return make_specialization()


class TestDoctors(ApiContract):
    url = DOCTORS
    reader = "nurse"

    def make(self) -> Doctor:
        return make_doctor(specializations=[make_specialization(), make_specialization()])


class TestCredentials(ApiContract):
    url = CREDENTIALS
    stranger = "patient"  # who manages a doctor may have any role of the staff

    def make(self) -> DoctorCredential:
        return make_credential()


class TestAvailability(ApiContract):
    url = HOURS
    reader = "lab_tech"

    def make(self) -> DoctorAvailability:
        return make_availability()


def as_role(role: str) -> APIClient:
    return client_for(make_user(role=role))


@pytest.mark.django_db
class TestDirectory:
    @pytest.mark.parametrize(
        ("role", "hidden"),
        [
            ("patient", {"license_number", "dea_number", "npi_number", "user", "warnings"}),
            ("receptionist", {"dea_number"}),
            ("nurse", {"dea_number"}),
            ("lab_tech", {"dea_number"}),
            ("pharmacist", set()),
            ("doctor", set()),
            ("admin", set()),
        ],
    )
    def test_each_role_sees_what_it_needs(self, role: str, hidden: set[str]) -> None:
        row = make_doctor(specializations=[make_specialization(name="Cardiology")])
        seen = as_role(role).get(f"{DOCTORS}{row.pk}/").data
        assert seen["full_name"] == "Grace Stone"
        assert seen["primary_specialization"] == "Cardiology"
        assert not hidden & set(seen)
        assert ("dea_number" in seen) == ("dea_number" not in hidden)

    def test_the_administrator_enrols_with_specializations_in_order(self) -> None:
        first, second = make_specialization(), make_specialization()
        form = {
            "user": str(make_user(role="doctor", last_name="Stone").pk),
            "license_number": "NY-1",
            "npi_number": make_npi(),
            "dea_number": make_dea("BX"),
            "specializations": [str(second.pk), str(first.pk)],
            "languages": ["en", "es-MX"],
        }
        api = as_role("admin")
        answer = api.post(DOCTORS, form, format="json")
        assert answer.status_code == 201, answer.data
        assert answer.data["specializations"] == [second.pk, first.pk]
        assert answer.data["primary_specialization"] == second.name
        assert len(answer.data["warnings"]) == 1
        for role in ("doctor", "receptionist", "patient"):
            assert as_role(role).post(DOCTORS, form, format="json").status_code == 403
        url = f"{DOCTORS}{answer.data['id']}/"
        assert api.patch(url, {"specializations": [str(first.pk)]}, format="json").data["specializations"] == [first.pk]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("npi_number", "1234567890"),
            ("dea_number", "AB1234564"),
            ("languages", ["!"]),
            ("consultation_fee", "-1"),
            ("specializations", ["00000000-0000-0000-0000-000000000000"]),
            ("is_deleted", True),
        ],
    )
    def test_a_wrong_field_is_400_and_named(self, field: str, value: Any) -> None:
        row = make_doctor()
        answer = as_role("admin").patch(f"{DOCTORS}{row.pk}/", {field: value}, format="json")
        assert answer.status_code == 400, answer.data
        assert answer.data["errors"][0]["field"].startswith(field)

    def test_doctors_are_found_by_specialization_and_name(self) -> None:
        cardiology = make_specialization()
        heart = make_doctor(specializations=[cardiology], user=make_user(role="doctor", last_name="Hart"))
        make_doctor()
        api = as_role("patient")
        for query in ({"specialization": str(cardiology.pk)}, {"search": "har"}):
            assert [row["id"] for row in api.get(DOCTORS, query).data["results"]] == [str(heart.pk)]


@pytest.mark.django_db
class TestCredentialRules:
    @pytest.fixture(autouse=True)
    def media(self, settings: LazySettings, tmp_path: Path) -> Path:
        settings.MEDIA_ROOT = tmp_path
        return tmp_path

    def upload(self, api: APIClient, doctor: Doctor, content: bytes, name: str = "scan.pdf") -> Any:
        form = {**LICENSE, "doctor": str(doctor.pk), "document": SimpleUploadedFile(name, content)}
        return api.post(CREDENTIALS, form, format="multipart")

    def test_a_doctor_sees_and_files_the_own_credentials_only(self) -> None:
        mine, other = make_doctor(licensed=False), make_credential()
        api = client_for(mine.user)
        own = make_credential(doctor=mine)
        assert [row["id"] for row in api.get(CREDENTIALS).data["results"]] == [str(own.pk)]
        assert api.get(f"{CREDENTIALS}{other.pk}/").status_code == 404
        assert api.patch(f"{CREDENTIALS}{other.pk}/", {"number": "1"}, format="json").status_code == 404
        assert api.post(CREDENTIALS, {**LICENSE, "doctor": str(mine.pk)}, format="json").status_code == 201
        assert api.post(CREDENTIALS, {**LICENSE, "doctor": str(other.doctor_id)}, format="json").status_code == 403
        assert api.post(f"{CREDENTIALS}{own.pk}/verify/").status_code == 403
        assert api.delete(f"{CREDENTIALS}{own.pk}/").status_code == 403

    def test_the_administrator_verifies_and_nobody_writes_it_by_hand(self) -> None:
        admin, row = make_user(role="admin"), make_credential()
        api = client_for(admin)
        api.patch(f"{CREDENTIALS}{row.pk}/", {"is_verified": True}, format="json")
        row.refresh_from_db()
        assert not row.is_verified
        form = {"method": "issuer"}
        answer = api.post(f"{CREDENTIALS}{row.pk}/verify/", form, format="json")
        assert answer.status_code == 200, answer.data
        assert answer.data["verified_by"] == admin.pk
        assert api.post(f"{CREDENTIALS}{row.pk}/verify/", form, format="json").status_code == 422

    def test_a_document_goes_in_and_comes_out_as_a_download(self, media: Path) -> None:
        doctor = make_doctor()
        api = client_for(doctor.user)
        answer = self.upload(api, doctor, PDF, name="Grace Stone license.pdf")
        assert answer.status_code == 201, answer.data
        assert answer.data["has_document"] is True
        assert "document" not in answer.data
        [kept] = [path for path in media.rglob("*") if path.is_file()]
        assert kept.suffix == ".pdf"
        assert "Stone" not in kept.name
        url = f"{CREDENTIALS}{answer.data['id']}/download/"
        got = api.get(url)
        assert b"".join(got.streaming_content) == PDF
        assert got["Content-Type"] == "application/pdf"
        assert got["Content-Disposition"].startswith("attachment")
        assert AuditLog.objects.filter(action="download", resource_id=answer.data["id"], outcome="allowed").exists()
        assert client_for(make_doctor().user).get(url).status_code == 404

    @pytest.mark.parametrize(
        ("content", "name", "code"),
        [
            (PDF, "a.exe", 201),  # the content decides, and the name is not kept
            (b"<html><script>", "a.pdf", 400),
            (b"MZ\x90\x00", "a.png", 400),
            (b"%PDF-" + b"0" * (10 * 1024 * 1024), "a.pdf", 400),
            (b"", "a.pdf", 400),
        ],
    )
    def test_only_small_pdf_png_and_jpeg_files_are_kept(self, content: bytes, name: str, code: int) -> None:
        assert self.upload(as_role("admin"), make_doctor(), content, name).status_code == code

    @pytest.mark.parametrize("kind", ["PNG", "JPEG"])
    def test_pictures_are_kept(self, kind: str) -> None:
        buffer = io.BytesIO()
        Image.new("RGB", (4, 4)).save(buffer, kind)
        assert self.upload(as_role("admin"), make_doctor(), buffer.getvalue()).status_code == 201

    def test_a_credential_without_a_document_has_no_download(self) -> None:
        row = make_credential()
        assert as_role("admin").get(f"{CREDENTIALS}{row.pk}/download/").status_code == 404

    @pytest.mark.parametrize("days", [{"issue_date": "2024-01-01", "expiry_date": "2024-01-01"}])
    def test_an_expiry_that_is_not_after_the_issue_is_400(self, days: dict[str, str]) -> None:
        form = {**LICENSE, **days, "doctor": str(make_doctor().pk)}
        assert as_role("admin").post(CREDENTIALS, form, format="json").status_code == 400

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("expired=true", {"old"}),
            ("expired=false", {"soon", "fine", "ever"}),
            ("expiring_soon=true", {"soon"}),
            ("is_verified=true", set()),
            ("expiry_date__lte=2021-01-01", {"old"}),
            ("credential_type=dea", set()),
        ],
    )
    def test_lists_answer_what_has_expired_and_what_soon_will(self, query: str, found: set[str]) -> None:
        today = Clinic.today()
        ends = {"old": date(2021, 1, 1), "soon": today + timedelta(days=30), "fine": date(2099, 1, 1), "ever": None}
        for name, expiry_date in ends.items():
            make_credential(number=name, expiry_date=expiry_date)
        rows = as_role("admin").get(f"{CREDENTIALS}?{query}").data["results"]
        assert {row["number"] for row in rows} == found
        assert all(row["is_expired"] == (row["number"] == "old") for row in rows)
        assert all(row["is_expiring_soon"] == (row["number"] == "soon") for row in rows)


@pytest.mark.django_db
class TestHours:
    FORM = {"day_of_week": 2, "start_time": "09:00", "end_time": "12:00"}

    @pytest.mark.parametrize(
        ("role", "code"),
        [("admin", 201), ("receptionist", 201), ("doctor", 403), ("nurse", 403), ("patient", 403), ("lab_tech", 403)],
    )
    def test_the_front_desk_writes_hours_and_a_doctor_not_those_of_another(self, role: str, code: int) -> None:
        form = {**self.FORM, "doctor": str(make_doctor().pk)}
        assert as_role(role).post(HOURS, form, format="json").status_code == code

    def test_a_doctor_writes_the_own_hours(self) -> None:
        mine, other = make_doctor(), make_availability()
        api = client_for(mine.user)
        made = api.post(HOURS, {**self.FORM, "doctor": str(mine.pk)}, format="json")
        assert made.status_code == 201, made.data
        url = f"{HOURS}{made.data['id']}/"
        assert api.patch(url, {"end_time": "13:00"}, format="json").data["end_time"] == "13:00:00"
        assert api.delete(url).status_code == 204
        assert api.get(f"{HOURS}{other.pk}/").status_code == 200
        assert api.patch(f"{HOURS}{other.pk}/", {"end_time": "18:00"}, format="json").status_code == 404
        assert api.delete(f"{HOURS}{other.pk}/").status_code == 404
        assert DoctorAvailability.objects.filter(pk=other.pk).exists()

    @pytest.mark.parametrize(
        "over",
        [
            {"start_time": "10:00", "end_time": "13:00"},
            {"start_time": "09:00", "end_time": "09:30"},
            {"start_time": "14:00", "end_time": "14:00"},
            {"day_of_week": 7},
            {"day_of_week": -1},
            {"start_time": "25:00"},
        ],
    )
    def test_hours_that_overlap_or_make_no_sense_are_400(self, over: dict[str, Any]) -> None:
        row = make_availability(day_of_week=2)
        form = {**self.FORM, "doctor": str(row.doctor_id), **over}
        assert as_role("receptionist").post(HOURS, form, format="json").status_code == 400
        assert DoctorAvailability.objects.count() == 1


@pytest.mark.django_db
def test_a_credential_is_found_by_its_whole_number_only_and_once_by_who_sees_numbers() -> None:
    boss = make_user(role="admin")
    row, other = make_credential(number="AB1234563"), make_credential(number="AB1234564")
    api = client_for(boss)
    for number, found in (("AB1234563", [str(row.pk)]), ("AB123456", []), ("ab1234563", [])):
        assert [one["id"] for one in api.get(f"{CREDENTIALS}?number={number}").data["results"]] == found
    assert client_for(make_user(role="nurse")).get(f"{CREDENTIALS}?number=AB1234563").status_code == 400
    again = {"number": row.number, "doctor": str(row.doctor_id), "issue_date": str(row.issue_date)}
    refused = api.patch(f"{CREDENTIALS}{other.pk}/", again, format="json")
    assert (refused.status_code, refused.data["errors"][0]["message"]) == (400, "This credential is already on file.")
    site = Client()
    site.force_login(boss)
    listed = search(site, "/admin/doctors/doctorcredential/", "AB1234563").content.decode()
    assert (str(row.pk) in listed, str(other.pk) in listed) == (True, False)
