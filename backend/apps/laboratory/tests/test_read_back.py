"""Holds who sees critical results, that an answer needs the value, and that the log stays as it was written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from backend.apps.core.models import Alert
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory import critical, read_back
from backend.apps.laboratory.models import CriticalPage, CriticalPolicy, LabResult
from backend.apps.laboratory.tests.factories import (
    make_critical_page,
    make_critical_result,
    make_lab_order,
    make_lab_result,
)
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db
URL = "/api/v1/critical-results/"


class TestCriticalResults(ApiContract):
    url = URL
    stranger = "nurse"
    make = staticmethod(make_critical_result)


class TestCriticalPages(ApiContract):
    url = "/api/v1/critical-pages/"
    stranger = "nurse"

    def make(self) -> CriticalPage:
        return make_critical_page(lab_order=make_lab_order(status="in_progress", doctor=make_doctor()))


class TestCriticalPolicies(ApiContract):
    url = "/api/v1/critical-policies/"
    stranger = "doctor"

    def make(self) -> CriticalPolicy:
        return CriticalPolicy.objects.create()


@pytest.fixture
def admin() -> User:
    User.objects.filter(role="admin").update(is_active=False)
    return make_user("admin")


def found(value: str, **over: Any) -> LabResult:
    number = Decimal(value) if read_back.WHOLE.fullmatch(value) else None
    return make_lab_result(**{"result_value": value, "numeric_value": number, "result_date": timezone.now(), **over})


@pytest.mark.parametrize(
    ("value", "unit", "said", "right"),
    [
        ("6.9", "mmol/L", "6.9", True),
        ("6.9", "mmol/L", "Potassium 6.90 MMOL/L.", True),
        ("6.9", "mmol/L", "6.8", False),
        ("6.9", "mmol/L", "69", False),
        ("6.9", "mmol/L", "6,9", False),
        ("6.9", "mmol/L", "5 6 6.9", False),
        ("6.9", "mmol/L", "critical, thank you", False),
        ("6.9", "mmol/L", "", False),
        ("-3", "mmol/L", "3", False),
        ("2.1", "10*9/L", "2.1 10*9/L", True),
        ("2.1", "10*9/L", "2.1", True),
        ("1200", "U/L", "1,200", True),
        (">600", "mg/dL", ">600 mg/dL", True),
        (">600", "mg/dL", "600", False),
        ("Positive", "", "positive", True),
        ("Positive", "", "not positive", False),
        ("Gram negative rods in two of two bottles", "", "gram negative rods in two", True),
        ("Gram negative rods in two of two bottles", "", "in two of two bottles", False),
        ("Gram negative rods in two of two bottles", "", "gram", False),
        ("", "", "the report", True),
    ],
)
def test_a_read_back_names_the_value(value: str, unit: str, said: str, right: bool) -> None:
    result = found(value or "1", unit=unit)
    result.result_value = value
    result.numeric_value = result.numeric_value if value else None
    assert read_back.names_value(said, result) is right


def test_an_acknowledgement_stops_the_paging_and_is_kept_with_who_said_what(admin: User) -> None:
    row = make_critical_result(lab_order=make_lab_order(is_external=True, doctor=None, status="in_progress"))
    answer = client_for(admin).post(f"{URL}{row.pk}/acknowledge/", {"read_back": " 6.9 mmol/L "})
    assert answer.status_code == 200, answer.data
    row.refresh_from_db()
    assert (row.status, row.acknowledged_by, row.read_back, row.how) == ("acknowledged", admin, "6.9 mmol/L", "online")
    assert (row.due_at, critical.escalate_due()) == (None, 0)
    assert not Alert.objects.filter(resolved_at=None).exists()
    step = row.steps.get(kind="acknowledged")
    assert (step.by, step.read_back) == (admin, "6.9 mmol/L")
    assert client_for(admin).post(f"{URL}{row.pk}/acknowledge/", {"read_back": "6.9"}).status_code == 422


@pytest.mark.parametrize("said", [{"read_back": "6.8"}, {"read_back": ""}, {}])
def test_a_wrong_or_missing_read_back_is_refused_without_telling_the_value(said: dict[str, str]) -> None:
    row = make_critical_result()
    answer = client_for(row.doctor.user).post(f"{URL}{row.pk}/acknowledge/", said)
    assert answer.status_code in {400, 422}
    assert "6.9" not in str(answer.data)
    row.refresh_from_db()
    assert (row.status, row.due_at is not None) == ("open", True)


def test_a_call_without_read_back_is_noted_and_one_with_it_acknowledges() -> None:
    row, tech = make_critical_result(), client_for(make_user("lab_tech"))
    assert tech.post(f"{URL}{row.pk}/note_call/", {"told": "Voice mail"}).data["status"] == "open"
    told = {"told": "Dr. Stone", "read_back": "6.9"}
    assert tech.post(f"{URL}{row.pk}/note_call/", {**told, "read_back": "9.6"}).status_code == 422
    data = tech.post(f"{URL}{row.pk}/note_call/", told).data
    assert (data["status"], data["how"], data["due_at"]) == ("acknowledged", "phone", None)
    assert [(step["kind"], step["told"]) for step in data["steps"]][1:] == [
        ("called", "Voice mail"),
        ("acknowledged", "Dr. Stone"),
    ]
    assert tech.post(f"{URL}{row.pk}/note_call/", told).status_code == 422


def test_a_doctor_finds_own_ones_and_those_they_cover_and_no_others() -> None:
    covering = make_doctor()
    doctor = make_doctor(covering_doctor=covering)
    row = make_critical_result(lab_order=make_lab_order(doctor=doctor, status="in_progress"))
    other = make_critical_result()
    for login in (doctor.user, covering.user):
        assert [each["id"] for each in client_for(login).get(URL).data["results"]] == [str(row.pk)]
        assert client_for(login).post(f"{URL}{other.pk}/acknowledge/", {"read_back": "6.9"}).status_code == 404
    assert (
        client_for(make_user("lab_tech")).post(f"{URL}{row.pk}/acknowledge/", {"read_back": "6.9"}).status_code == 403
    )
    answer = client_for(covering.user).post(f"{URL}{row.pk}/acknowledge/", {"read_back": "6.9"})
    assert answer.data["acknowledged_by"] == covering.user.pk


def test_the_log_is_never_rewritten() -> None:
    row = make_critical_result()
    for change in (lambda: row.steps.update(note="x"), lambda: row.steps.all().delete()):
        with pytest.raises(DatabaseError, match="insert-only"), transaction.atomic():
            change()
