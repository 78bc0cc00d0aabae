"""Proves who may see, file, renew and review the credentials of the staff over HTTP and in the admin."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from backend.apps.core.models import AuditLog, Clinic
from backend.apps.doctors.tests.factories import make_credential
from backend.apps.employees import filing
from backend.apps.employees.models import EmployeeCredential
from backend.apps.employees.tests.factories import (
    PDF,
    a_file,
    make_department,
    make_employee,
    make_employee_credential,
    make_head,
)
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

URL = "/api/v1/employee-credentials/"
COURSE = {"credential_type": "bls", "issuing_organization": "Heart association", "issue_date": "2024-01-01"}
RENEWED = {"issue_date": "2027-05-01", "expiry_date": "2099-06-01"}

pytestmark = pytest.mark.django_db


class TestEmployeeCredentials(ApiContract):
    url = URL
    stranger = "patient"

    def make(self) -> EmployeeCredential:
        return make_employee_credential()


@pytest.fixture(autouse=True)
def media(settings: LazySettings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def seen_by(user: Any) -> set[str]:
    return {row["id"] for row in client_for(user).get(URL).data["results"]}


def test_the_holder_sees_the_own_the_head_the_departments_and_the_administrator_all() -> None:
    department = make_department()
    head, nurse = make_head(department), make_employee(department=department)
    own, other = make_employee_credential(employee=nurse), make_employee_credential()
    assert seen_by(nurse.user) == {str(own.pk)}
    assert seen_by(head.user) == {str(own.pk)}
    assert seen_by(make_user(role="admin")) == {str(own.pk), str(other.pk)}
    assert seen_by(make_user(role="receptionist")) == set()


def test_the_head_looks_but_does_not_write() -> None:
    department = make_department()
    head = make_head(department)
    row = make_employee_credential(employee=make_employee(department=department))
    api = client_for(head.user)
    assert api.patch(f"{URL}{row.pk}/", {"number": "1"}, format="json").status_code == 403
    assert api.post(f"{URL}{row.pk}/verify/", {"method": "issuer"}, format="json").status_code == 403


def test_a_nurse_files_the_own_and_the_administrator_reviews_it() -> None:
    nurse, admin = make_employee(), make_user(role="admin")
    form = {**COURSE, "document": SimpleUploadedFile("of somebody.pdf", PDF)}
    made = client_for(nurse.user).post(URL, form, format="multipart")
    assert made.status_code == 201, made.data
    assert made.data["employee"] == nurse.pk
    assert "document" not in made.data
    url = f"{URL}{made.data['id']}/"
    assert client_for(nurse.user).post(f"{url}verify/").status_code == 403
    answer = client_for(admin).post(f"{url}verify/")
    assert answer.status_code == 200, answer.data
    assert (answer.data["verified_by"], answer.data["verification_method"]) == (admin.pk, "document")
    got = client_for(nurse.user).get(f"{url}download/")
    assert b"".join(got.streaming_content) == PDF
    answer = client_for(admin).post(f"{url}reject/", {"reason": "The page is torn."}, format="json")
    assert answer.data["rejection_reason"] == "The page is torn."
    assert client_for(admin).post(f"{url}reject/", {}, format="json").status_code == 400


def test_who_has_no_file_says_whose_credential_it_is() -> None:
    api = client_for(make_user(role="admin"))
    assert api.post(URL, COURSE, format="json").status_code == 422
    assert api.post(URL, {**COURSE, "employee": str(make_employee().pk)}, format="json").status_code == 201


@pytest.mark.parametrize(
    "content",
    [b"<html><script>", b"MZ\x90\x00", b"%PDF-" + b"0" * (10 * 1024 * 1024), b""],
    ids=["a page", "a program", "too large", "empty"],
)
def test_only_small_documents_are_kept_when_filed_and_when_renewed(content: bytes) -> None:
    row = make_employee_credential(expiry_date=date(2027, 6, 1))
    api, holder = client_for(make_user(role="admin")), {"employee": str(row.employee_id)}
    for url, form in ((URL, {**COURSE, **holder}), (f"{URL}{row.pk}/renew/", RENEWED)):
        answer = api.post(url, {**form, "document": SimpleUploadedFile("a.pdf", content)}, format="multipart")
        assert answer.status_code == 400, answer.data
    assert EmployeeCredential.objects.count() == 1


@pytest.mark.parametrize("kind", ["employee", "doctor"])
def test_a_renewal_is_answered_as_the_new_row_once_for_a_key(kind: str) -> None:
    make = make_credential if kind == "doctor" else make_employee_credential
    row = make(expiry_date=date(2027, 6, 1))
    url = f"/api/v1/{kind}-credentials/{row.pk}/renew/"
    api = client_for(row.holder.user)
    for _ in range(2):
        form = {**RENEWED, "document": SimpleUploadedFile("new.pdf", PDF)}
        answer = api.post(url, form, format="multipart", HTTP_IDEMPOTENCY_KEY="renewal-1")
        assert answer.status_code == 200, answer.data
        assert answer.data["id"] != str(row.pk)
        assert answer.data["expiry_date"] == RENEWED["expiry_date"]
    assert api.get(f"/api/v1/{kind}-credentials/{row.pk}/").data["replaced_by"] is not None
    assert type(row).objects.count() == 2
    assert AuditLog.objects.filter(action="renew", resource_id=answer.data["id"]).count() == 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("awaiting_review=true", {"new", "late", "old"}),
        ("awaiting_review=false", {"bad", "seen", "over"}),
        ("rejected=true", {"bad"}),
        ("is_verified=true", {"seen"}),
        ("replaced=true", {"old", "over"}),
        ("expired=true", {"late", "over"}),
        ("expiring_soon=true", {"seen"}),
    ],
)
def test_lists_answer_what_waits_for_a_reviewer_and_what_ends(query: str, found: set[str]) -> None:
    admin, today = make_user(role="admin"), Clinic.today()
    new = make_employee_credential(number="new")
    make_employee_credential(number="late", expiry_date=today - timedelta(days=1))
    make_employee_credential(number="old", replaced_by=new)
    make_employee_credential(number="over", replaced_by=new, expiry_date=today - timedelta(days=1))
    make_employee_credential(number="bad").reject(admin, "Torn.")
    make_employee_credential(number="seen", expiry_date=today + timedelta(days=3)).verify(admin)
    rows = client_for(admin).get(f"{URL}?{query}").data["results"]
    assert {row["number"] for row in rows} == found


def test_a_licence_of_no_state_is_renewed_with_it() -> None:
    row = make_credential(state="", expiry_date=date(2027, 6, 1))
    renew = partial(client_for(make_user(role="admin")).post, f"/api/v1/doctor-credentials/{row.pk}/renew/")
    assert renew(RENEWED, format="json").status_code in {400, 422}
    assert renew({**RENEWED, "state": "Jersey"}, format="json").status_code == 400
    assert renew({**RENEWED, "state": "NJ"}, format="json").data["state"] == "NJ"


def test_a_reviewer_who_sends_the_version_they_looked_at_verifies_no_other() -> None:
    row, api = make_employee_credential(document=a_file()), client_for(make_user(role="admin"))
    seen = api.get(f"{URL}{row.pk}/")["ETag"]
    filing.amend(row, by=None, number="another")
    verify = partial(api.post, f"{URL}{row.pk}/verify/", {}, format="json")
    assert verify(HTTP_IF_MATCH=seen).status_code == 412
    assert verify(HTTP_IF_MATCH=api.get(f"{URL}{row.pk}/")["ETag"]).data["is_verified"] is True


class TestAdmin:
    PAGE = "/admin/employees/employeecredential/"

    def act(self, user: Any, action: str, rows: list[Any], **more: str) -> Any:
        client = Client()
        client.force_login(user)
        form = {"action": action, "_selected_action": [str(row.pk) for row in rows], **more}
        return client.post(self.PAGE, form, follow=True)

    def test_a_reviewer_verifies_and_rejects_from_the_list(self) -> None:
        admin = make_user(role="admin")
        seen, bare = make_employee_credential(document=a_file()), make_employee_credential()
        answer = self.act(admin, "verify_by_document", [seen, bare])
        assert b"no document" in answer.content
        for row in (seen, bare):
            row.refresh_from_db()
        assert (seen.is_verified, bare.is_verified) == (True, False)
        assert b"Say why" in self.act(admin, "reject", [bare]).content
        self.act(admin, "reject", [bare], reason="Unreadable.")
        bare.refresh_from_db()
        assert bare.rejection_reason == "Unreadable."
        assert set(AuditLog.objects.values_list("action", flat=True)) >= {"admin.verify", "admin.reject"}

    def test_a_nurse_finds_no_such_action(self) -> None:
        row = make_employee_credential(document=a_file())
        self.act(row.employee.user, "verify_by_issuer", [row])
        row.refresh_from_db()
        assert not row.is_verified
