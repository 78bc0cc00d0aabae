"""Proves HR over HTTP: who sees which file, who sees a salary, and every verb with its refusals."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from backend.apps.core.models import AuditLog
from backend.apps.core.roles import STAFF
from backend.apps.employees.models import Department, Employee, EmployeePerformanceReview, EmployeeTimeOff
from backend.apps.employees.tests.factories import (
    PDF,
    make_department,
    make_employee,
    make_head,
    make_review,
    make_time_off,
    next_monday,
)
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db
EMPLOYEES, TIME_OFF = "/api/v1/employees/", "/api/v1/employee-time-offs/"
HR, SELF, HEAD = "hr", "self", "head"
READERS = {
    "salary": {HR, SELF}, "pay_frequency": {HR, SELF}, "contract": {HR, SELF}, "benefits_enrolled": {HR, SELF},
    "termination_reason": {HR}, "resume": {HR, SELF, HEAD}, "performance_rating": {HR, SELF, HEAD},
    "pto_balance": {HR, SELF, HEAD},
}  # fmt: skip
DEPARTMENTS, REVIEWS = "/api/v1/departments/", "/api/v1/employee-performance-reviews/"
SALARY = re.compile(rb"\b70000\b")  # and no digits of a key or of a moment


class TestDepartments(ApiContract):
    url, stranger = DEPARTMENTS, "patient"

    def make(self) -> Department:
        department = make_department()
        make_head(department)
        return department


class TestEmployees(ApiContract):
    url, stranger = EMPLOYEES, "patient"

    def make(self) -> Employee:
        department = make_department()
        return make_employee(department=department, manager=make_head(department))


class TestTimeOff(ApiContract):
    url, stranger = TIME_OFF, "patient"

    def make(self) -> EmployeeTimeOff:
        return make_time_off()


class TestReviews(ApiContract):
    url, stranger = REVIEWS, "patient"

    def make(self) -> EmployeePerformanceReview:
        return make_review()


class Wards:
    """Two departments with a head and a nurse each, and an administrator."""

    def __init__(self) -> None:
        self.wards = [make_department(), make_department()]
        self.heads = [make_head(ward, role="doctor") for ward in self.wards]
        self.nurses = [make_employee(department=ward) for ward in self.wards]
        self.admin = make_user("admin")

    def rows(self, nurse: int = 0) -> dict[str, Any]:
        who = self.nurses[nurse]
        return {
            EMPLOYEES: who,
            TIME_OFF: make_time_off(employee=who),
            REVIEWS: make_review(employee=who, reviewer=self.heads[nurse]),
        }


@pytest.fixture
def clinic() -> Wards:
    return Wards()


def listed(user: User, url: str) -> set[str]:
    return {row["id"] for row in client_for(user).get(url).data["results"]}


def test_a_head_sees_the_own_department_and_nothing_of_another(clinic: Wards) -> None:
    head = clinic.heads[0].user
    for (url, mine), other in zip(clinic.rows(0).items(), clinic.rows(1).values(), strict=True):
        seen = listed(head, url)
        assert str(mine.pk) in seen
        assert str(other.pk) not in seen
        assert client_for(head).get(f"{url}{mine.pk}/").status_code == 200
        assert client_for(head).get(f"{url}{other.pk}/").status_code == 404
    assert listed(head, DEPARTMENTS) == {str(clinic.wards[0].pk)}
    assert client_for(head).get(f"{DEPARTMENTS}{clinic.wards[1].pk}/").status_code == 404


def test_an_employee_sees_the_own_file_only(clinic: Wards) -> None:
    rows = clinic.rows(0)
    clinic.rows(1)
    for url, mine in rows.items():
        assert listed(clinic.nurses[0].user, url) == {str(mine.pk)}
    assert client_for(clinic.nurses[0].user).get(f"{EMPLOYEES}{clinic.heads[0].pk}/").status_code == 404


def test_the_administrator_sees_everything(clinic: Wards) -> None:
    for row_0, (url, row_1) in zip(clinic.rows(0).values(), clinic.rows(1).items(), strict=True):
        assert {str(row_0.pk), str(row_1.pk)} <= listed(clinic.admin, url)


@pytest.mark.parametrize("field", sorted(READERS))
def test_each_field_is_shown_to_the_readers_the_table_names(clinic: Wards, field: str) -> None:
    users = {"hr": clinic.admin, "self": clinic.nurses[0].user, "head": clinic.heads[0].user}
    for reader, user in users.items():
        shown = client_for(user).get(f"{EMPLOYEES}{clinic.nurses[0].pk}/").data
        assert (field in shown) is (reader in READERS[field]), reader
        in_list = next(row for row in client_for(user).get(EMPLOYEES).data["results"] if row["id"] == shown["id"])
        assert set(in_list) == set(shown)


def test_a_salary_is_read_by_hr_and_the_person_only(clinic: Wards) -> None:
    url = f"{EMPLOYEES}{clinic.nurses[0].pk}/"
    assert client_for(clinic.admin).get(url).data["salary"] == "70000.00"
    assert client_for(clinic.nurses[0].user).get(url).data["salary"] == "70000.00"
    assert not SALARY.search(client_for(clinic.heads[0].user).get(url).content)


@pytest.mark.parametrize("query", ["ordering=salary", "salary=70000", "salary__gte=1", "ordering=pto_balance"])
def test_a_salary_cannot_be_probed_by_filter_or_order(clinic: Wards, query: str) -> None:
    assert client_for(clinic.heads[0].user).get(f"{EMPLOYEES}?{query}").status_code == 400


@pytest.mark.parametrize("role", sorted(STAFF - {"admin"}))
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", ""),
        ("patch", "{pk}/"),
        ("post", "{pk}/terminate/"),
        ("post", "{pk}/retire/"),
        ("post", "{pk}/suspend/"),
        ("post", "{pk}/start_leave/"),
        ("post", "{pk}/reinstate/"),
    ],
)
def test_only_the_administrator_changes_files(role: str, method: str, path: str) -> None:
    own = make_employee(role=role)
    answer = getattr(client_for(own.user), method)(EMPLOYEES + path.format(pk=own.pk), {"salary": "999999.00"})
    assert answer.status_code == 403
    stored = Employee.objects.get(pk=own.pk)
    assert (stored.salary, stored.status) == (Decimal(70000), "active")


def test_hr_hires_and_the_answer_carries_the_number(clinic: Wards) -> None:
    body = {
        "user": str(make_user("nurse").pk),
        "department": str(clinic.wards[0].pk),
        "manager": str(clinic.heads[0].pk),
        "position": "Nurse",
        "hire_date": "2026-01-05",
        "salary": "61000.50",
        "work_schedule": {"mon": [["08:00", "16:00"]]},
    }
    answer = client_for(clinic.admin).post(EMPLOYEES, body)
    assert answer.status_code == 201, answer.data
    assert answer.data["employee_id"].startswith("E")
    assert answer.data["department_name"] == "Front desk"
    assert Employee.objects.get(pk=answer.data["id"]).salary == Decimal("61000.50")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"status": "terminated", "hire_date": "x"}, "hire_date"),
        ({"salary": "-1"}, "salary"),
        ({"salary": "1e400"}, "salary"),
        ({"work_schedule": {"monday": []}}, "work_schedule"),
        ({"work_schedule": [1]}, "work_schedule"),
        ({"nickname": "x"}, "nickname"),
        ({"performance_rating": "7"}, "performance_rating"),
        ({"manager": "no"}, "manager"),
    ],
)
def test_bad_input_is_400_and_names_the_field(clinic: Wards, body: dict[str, Any], field: str) -> None:
    answer = client_for(clinic.admin).patch(f"{EMPLOYEES}{clinic.nurses[0].pk}/", body)
    assert answer.status_code == 400
    assert field in {error["field"] for error in answer.data["errors"]}


def test_a_ring_of_managers_is_400_with_a_sentence(clinic: Wards) -> None:
    head, nurse = clinic.heads[0], clinic.nurses[0]
    assert client_for(clinic.admin).patch(f"{EMPLOYEES}{nurse.pk}/", {"manager": head.pk}).status_code == 200
    answer = client_for(clinic.admin).patch(f"{EMPLOYEES}{head.pk}/", {"manager": nurse.pk})
    assert answer.status_code == 400
    assert answer.data["errors"][0]["field"] == "manager"


def test_status_is_changed_by_verbs_only(clinic: Wards) -> None:
    url = f"{EMPLOYEES}{clinic.nurses[0].pk}/"
    client_for(clinic.admin).patch(url, {"status": "retired"})
    assert Employee.objects.get(pk=clinic.nurses[0].pk).status == "active"


def test_termination_over_http_closes_access_and_is_audited(clinic: Wards) -> None:
    nurse = clinic.nurses[0]
    answer = client_for(clinic.admin).post(f"{EMPLOYEES}{nurse.pk}/terminate/", {"reason": "moved away"})
    assert answer.status_code == 200, answer.data
    assert (answer.data["status"], answer.data["is_active"]) == ("terminated", False)
    assert not User.objects.get(pk=nurse.user_id).is_active
    row = AuditLog.objects.get(action="terminate", resource_id=str(nurse.pk))
    assert "moved" not in str(row.detail)
    assert client_for(clinic.admin).post(f"{EMPLOYEES}{nurse.pk}/terminate/").status_code == 200
    assert client_for(User.objects.get(pk=nurse.user_id)).get(EMPLOYEES).status_code in {401, 403}


def test_a_resume_is_uploaded_and_another_kind_of_file_refused(clinic: Wards, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    url, api = f"{EMPLOYEES}{clinic.nurses[0].pk}/", client_for(clinic.admin)
    good = api.patch(url, {"resume": SimpleUploadedFile("cv.pdf", PDF)}, format="multipart")
    assert good.status_code == 200, good.data
    assert Employee.objects.get(pk=clinic.nurses[0].pk).resume.read() == PDF
    bad = api.patch(url, {"resume": SimpleUploadedFile("cv.pdf", b"MZ")}, format="multipart")
    assert bad.status_code == 400


def ask(user: User, **body: Any) -> Any:
    monday = next_monday()
    usual = {"time_off_type": "vacation", "start_date": monday, "end_date": monday + timedelta(days=1)}
    return client_for(user).post(TIME_OFF, {**usual, **body})


def test_an_employee_asks_and_the_head_approves(clinic: Wards) -> None:
    nurse = clinic.nurses[0]
    asked = ask(nurse.user)
    assert asked.status_code == 201, asked.data
    assert (asked.data["employee"], asked.data["days_requested"]) == (nurse.pk, "2.00")
    approved = client_for(clinic.heads[0].user).post(f"{TIME_OFF}{asked.data['id']}/approve/")
    assert approved.status_code == 200, approved.data
    assert approved.data["approved_by"] == clinic.heads[0].user_id
    assert Employee.objects.get(pk=nurse.pk).pto_balance == 18
    cancelled = client_for(nurse.user).post(f"{TIME_OFF}{asked.data['id']}/cancel/")
    assert cancelled.data["status"] == "cancelled"
    assert Employee.objects.get(pk=nurse.pk).pto_balance == 20


def test_nobody_asks_for_another_department_or_approves_there(clinic: Wards) -> None:
    assert ask(clinic.nurses[0].user, employee=clinic.nurses[1].pk).status_code == 400  # not theirs to see
    assert ask(clinic.heads[0].user, employee=clinic.nurses[0].pk).status_code == 403
    other = make_time_off(employee=clinic.nurses[1])
    for verb, body in (("approve", {}), ("deny", {"reason": "no"}), ("cancel", {})):
        answer = client_for(clinic.heads[0].user).post(f"{TIME_OFF}{other.pk}/{verb}/", body)
        assert answer.status_code == 404
    assert EmployeeTimeOff.objects.get(pk=other.pk).status == "pending"


def test_nobody_approves_the_own_request_over_http(clinic: Wards) -> None:
    own = make_time_off(employee=clinic.heads[0])
    answer = client_for(clinic.heads[0].user).post(f"{TIME_OFF}{own.pk}/approve/")
    assert answer.status_code == 422
    assert answer.data["detail"] == "Nobody decides on their own request."


def test_a_login_without_a_file_cannot_ask(clinic: Wards) -> None:
    assert ask(make_user("nurse")).status_code == 422


def test_overlapping_requests_are_400_with_a_sentence(clinic: Wards) -> None:
    assert ask(clinic.nurses[0].user).status_code == 201
    answer = ask(clinic.nurses[0].user, time_off_type="sick")
    assert answer.status_code == 400
    assert "covers some of these days" in answer.data["errors"][0]["message"]


def test_a_denial_without_a_reason_is_400(clinic: Wards) -> None:
    row = make_time_off(employee=clinic.nurses[0])
    api = client_for(clinic.heads[0].user)
    assert api.post(f"{TIME_OFF}{row.pk}/deny/", {}).status_code == 400
    assert api.post(f"{TIME_OFF}{row.pk}/deny/", {"reason": "Too few"}).data["denial_reason"] == "Too few"


def test_the_head_reviews_and_the_employee_acknowledges(clinic: Wards) -> None:
    head, nurse = clinic.heads[0], clinic.nurses[0]
    body = {
        "employee": nurse.pk,
        "review_type": "annual",
        "review_period_start": "2025-01-01",
        "review_period_end": "2025-12-31",
        "review_date": "2026-01-10",
        "overall_rating": 5,
    }
    written = client_for(head.user).post(REVIEWS, body)
    assert written.status_code == 201, written.data
    assert written.data["reviewer"] == head.pk
    url = f"{REVIEWS}{written.data['id']}/"
    assert client_for(head.user).post(f"{url}acknowledge/").status_code == 422
    assert client_for(nurse.user).patch(url, {"overall_rating": 1}).status_code == 403
    noted = client_for(nurse.user).post(f"{url}acknowledge/", {"comments": "Thanks"})
    assert (noted.data["employee_acknowledged"], noted.data["employee_comments"]) == (True, "Thanks")
    assert client_for(head.user).patch(url, {"overall_rating": 1}).status_code == 422
    assert client_for(nurse.user).post(f"{url}comment/", {"comments": "More"}).data["employee_comments"] == "More"
    assert client_for(clinic.admin).delete(url).status_code == 422


def test_a_department_with_people_is_not_deleted_over_http(clinic: Wards) -> None:
    assert client_for(clinic.admin).delete(f"{DEPARTMENTS}{clinic.wards[0].pk}/").status_code == 422
    empty = make_department()
    assert client_for(clinic.admin).delete(f"{DEPARTMENTS}{empty.pk}/").status_code == 204


def test_the_count_of_a_department_comes_with_the_list(clinic: Wards) -> None:
    rows = client_for(clinic.admin).get(DEPARTMENTS).data["results"]
    assert {row["employee_count"] for row in rows} == {2}


def test_the_admin_site_hides_salaries_from_heads(clinic: Wards, client: Any) -> None:
    url = f"/admin/employees/employee/{clinic.nurses[0].pk}/change/"
    client.force_login(clinic.heads[0].user)
    seen = client.get(url)
    assert seen.status_code == 200
    assert not SALARY.search(seen.content)
    assert client.get(f"/admin/employees/employee/{clinic.nurses[1].pk}/change/").status_code == 302
    client.force_login(clinic.admin)
    assert SALARY.search(client.get(url).content)


@pytest.mark.parametrize("model", ["department", "employee", "employeetimeoff", "employeeperformancereview"])
def test_the_admin_lists_and_opens_every_model(clinic: Wards, client: Any, model: str) -> None:
    rows = {"department": clinic.wards[0], "employee": clinic.nurses[0]}
    row = rows.get(model) or {"employeetimeoff": make_time_off, "employeeperformancereview": make_review}[model]()
    client.force_login(clinic.admin)
    assert client.get(f"/admin/employees/{model}/").status_code == 200
    assert client.get(f"/admin/employees/{model}/{row.pk}/change/").status_code == 200
    assert client.get(f"/admin/employees/{model}/add/").status_code == 200
