"""Proves who is told of which tier, and that administrators get one digest a day."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.credentials import digests, ladder, policies
from backend.apps.credentials.models import CredentialNotice, CredentialOverride
from backend.apps.credentials.tests.factories import lapsing
from backend.apps.doctors.models import Doctor
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.employees import filing
from backend.apps.employees.models import Employee, EmployeeCredential
from backend.apps.employees.tests.factories import (
    make_department,
    make_employee,
    make_employee_credential,
    make_head,
)
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
TODAY = date(2026, 3, 10)


@pytest.fixture(autouse=True)
def no_admin() -> None:
    User.objects.filter(role="admin").update(is_active=False)


def lapses(employee: Employee, days: int) -> Any:
    return make_employee_credential(employee=employee, expiry_date=TODAY + timedelta(days=days))


def told(credential: Any) -> dict[str, set[Any]]:
    rows, found = CredentialNotice.objects.filter(alert__in=credential.alerts.all()), {}
    for audience, recipient in rows.values_list("audience", "recipient"):
        found.setdefault(audience, set()).add(recipient)
    return found


def test_the_manager_is_written_to_from_fourteen_days_on() -> None:
    boss = make_employee()
    nurse = make_employee(manager=boss)
    early, late = lapses(nurse, 30), lapses(nurse, 14)
    ladder.raise_due(TODAY)
    assert told(early) == {"holder": {nurse.user_id}}
    assert told(late) == {"holder": {nurse.user_id}, "manager": {boss.user_id}}


def test_without_a_manager_who_may_sign_in_it_is_the_head_of_the_department() -> None:
    department = make_department()
    head = make_head(department)
    gone = make_employee(user=make_user("nurse", is_active=False))
    under_nobody, under_gone = make_employee(department=department), make_employee(department=department, manager=gone)
    rows = [lapses(who, 10) for who in (under_nobody, under_gone, head)]
    ladder.raise_due(TODAY)
    assert [told(row).get("manager") for row in rows] == [{head.user_id}, {head.user_id}, None]


def test_a_doctor_with_a_file_of_an_employee_has_the_manager_of_that_file() -> None:
    boss, doctor = make_employee(), make_doctor(licensed=False)
    make_employee(user=doctor.user, manager=boss)
    row = lapsing(7, today=TODAY, doctor=doctor)
    ladder.raise_due(TODAY)
    assert told(row) == {"holder": {doctor.user_id}, "manager": {boss.user_id}}


def test_compliance_is_written_to_from_one_day_on_by_the_administrators_or_the_officer() -> None:
    admins = {make_user("admin").pk, make_user("admin").pk}
    nurse = make_employee()
    rows = [lapses(nurse, days) for days in (7, 1)]
    ladder.raise_due(TODAY)
    assert [told(row).get("compliance") for row in rows] == [None, admins]
    officer = make_user("admin")
    policies.write_rules(by=None, compliance_officer=officer)
    later = lapses(nurse, -8)
    ladder.raise_due(TODAY)
    assert told(later)["compliance"] == {officer.pk}
    User.objects.filter(pk=officer.pk).update(role="nurse")
    later = lapses(nurse, -8)
    ladder.raise_due(TODAY)
    assert told(later)["compliance"] == admins


def test_nobody_is_written_to_twice_about_one_tier() -> None:
    boss = make_employee(role="admin")
    nurse = make_employee(manager=boss)
    policies.write_rules(by=None, compliance_officer=boss.user)
    row, own = lapses(nurse, 0), lapses(boss, 0)
    ladder.raise_due(TODAY)
    assert told(row) == {"holder": {nurse.user_id}, "manager": {boss.user_id}}
    assert told(own) == {"holder": {boss.user_id}}


def test_of_one_step_that_comes_back_one_person_is_told_once() -> None:
    boss = make_employee(role="admin")
    nurse, reviewer = make_employee(manager=boss), make_user("admin")
    policies.write_rules(by=None, compliance_officer=boss.user)
    row = lapses(nurse, 0)
    ladder.raise_due(TODAY)
    for _ in range(2):
        CredentialNotice.work.update(status="not_needed", work_state="done")
        row.reject(reviewer, "Torn.")
        row.unverify()
        row.save()
        ladder.raise_due(TODAY)
        waiting = CredentialNotice.work.filter(status="pending").order_by("audience")
        assert list(waiting.values_list("recipient", flat=True)) == [nurse.user_id, boss.user_id]


@pytest.mark.parametrize("way", ["closed", "retired", "deleted"])
def test_the_digest_counts_nothing_of_who_has_left(way: str) -> None:
    by, doctor = make_user("admin"), make_doctor(licensed=False)
    nurse, file = make_employee(), make_employee(user=doctor.user)
    for row in (lapses(nurse, 900), lapsing(900, doctor=doctor)):
        filing.reject(type(row).objects.get(pk=row.pk), by=by, reason="Torn.")
    for row in (lapses(nurse, 900), lapsing(900, doctor=doctor, credential_type="bls")):
        filing.renew(row, by=by, issue_date=TODAY, expiry_date=row.expiry_date + timedelta(days=9), state="NY")
    EmployeeCredential.objects.filter(rejected_at=None).update(credential_type="acls")
    found = digests.due(TODAY, now=timezone.now())
    assert (found.renewals, found.rejected) == (2, 2)
    if way == "deleted":
        Employee.objects.filter(pk=nurse.pk).update(is_deleted=True, deleted_at=timezone.now())
        Doctor.objects.filter(pk=doctor.pk).update(is_deleted=True, deleted_at=timezone.now())
    elif way == "closed":
        User.objects.filter(pk__in=[nurse.user_id, doctor.user_id]).update(is_active=False)
    else:
        gone = {"status": "retired", "termination_date": Clinic.today()}
        Employee.objects.filter(pk__in=[nurse.pk, file.pk]).update(**gone)
    assert digests.due(TODAY, now=timezone.now()).total == 0


def at(hour: int, day: date = TODAY) -> datetime:
    return datetime(day.year, day.month, day.day, hour, 5, tzinfo=Clinic.current().zone)


def planned() -> list[tuple[Any, date]]:
    return list(CredentialNotice.objects.filter(alert=None).order_by("day").values_list("recipient", "day"))


def test_each_administrator_gets_one_digest_a_day_from_six_on() -> None:
    admin = make_user("admin")
    lapsing(30, today=TODAY)
    assert ladder.sweep(at(5))["digests"] == 0  # still the day before, of which it is late to tell
    assert ladder.sweep(at(6))["digests"] == 1
    assert not +ladder.sweep(at(7))
    assert ladder.sweep(at(9, TODAY + timedelta(days=3)))["digests"] == 1  # of three days without a beat: one
    assert planned() == [(admin.pk, TODAY), (admin.pk, TODAY + timedelta(days=3))]


def test_no_digest_is_planned_where_nothing_is_due_or_none_is_wanted() -> None:
    make_user("admin")
    assert digests.plan(TODAY, now=at(8)) == 0
    lapsing(30, today=TODAY)
    policies.write_rules(by=None, sends_digest=False)
    assert not ladder.sweep(at(8))["digests"]


def test_the_digest_counts_by_urgency_and_names_staff_and_types_only() -> None:
    grace, clinic = make_doctor(licensed=False), Clinic(name="Elm Street Clinic")
    for days, kind in ((-3, "state_license"), (5, "immunization"), (25, "dea"), (60, "bls")):
        lapsing(days, today=TODAY, doctor=grace, credential_type=kind, number=f"Zq{days}")
    ladder.raise_due(TODAY)
    renewed = lapsing(900, today=TODAY, doctor=grace)
    old = lapsing(800, today=TODAY, doctor=grace)
    type(old).objects.filter(pk=old.pk).update(replaced_by=renewed)
    lapsing(900, today=TODAY, doctor=grace, credential_type="acls").reject(make_user("admin"), "Zqwhy")
    lapsing(700, today=TODAY, doctor=grace, credential_type="dea").reject(make_user("admin"), "Zqwhy")
    now = timezone.now()
    CredentialOverride.objects.create(
        doctor=grace, credential_type="dea", reason="Zqreason", granted_by=make_user("admin"), granted_at=now,
        expires_at=now + timedelta(hours=2),
    )  # fmt: skip
    words = digests.write(clinic=clinic, today=TODAY, now=now)
    assert words is not None
    assert words.subject == "Elm Street Clinic: 4 credentials due"
    for line in (
        "Expired: 1", "Within a week: 1", "Within 30 days: 1", "Later: 1", "Renewals to review: 1",
        "Rejected, to be filed anew: 1",
        "Exceptions in force: 1", "Grace Stone: state license (NY) expired 3 days ago",
        "Grace Stone: record on file expires in 5 days", "Grace Stone: DEA registration (NY) expires in 25 days",
    ):  # fmt: skip
        assert line in words.text.splitlines()
    assert "Grace Stone: may go on without DEA registration until " in words.text
    assert "Zq" not in words.text
    assert "immuni" not in words.text.lower()
