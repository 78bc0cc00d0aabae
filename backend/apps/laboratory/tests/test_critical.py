"""Holds which values page whom and when, that nothing is paged twice, and that an answer needs the value."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory import critical, read_back, services, versions
from backend.apps.laboratory.models import CriticalPage, CriticalPolicy, CriticalResult, CriticalStep, LabResult
from backend.apps.laboratory.models.critical import Tier
from backend.apps.laboratory.tests.factories import (
    make_critical_result,
    make_lab_order,
    make_lab_result,
    make_lab_test,
)
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
URL = "/api/v1/critical-results/"
PHONE = "+14155550177"


@pytest.fixture(autouse=True)
def admin() -> User:
    User.objects.filter(role="admin").update(is_active=False)
    return make_user("admin", phone="+14155550188")


def found(value: str = "6.9", **over: Any) -> LabResult:
    """Save a current result that was observed now."""
    number = Decimal(value) if read_back.WHOLE.fullmatch(value) else None
    fields = {"result_value": value, "numeric_value": number, "result_date": timezone.now()}
    return make_lab_result(**{**fields, "reported_at": timezone.now(), **over})


def later(result: LabResult, **over: Any) -> LabResult:
    """File a newer version of the observation, as a laboratory's message does."""
    kept = {name: getattr(result, name) for name in (*services.COPIED, "status")}
    kept["reported_at"] = kept["sent_at"] = timezone.now() + timedelta(minutes=5)
    row = LabResult(**{**kept, "status": "corrected", **over})
    fresh, _ = versions.place([row])
    critical.notice(fresh)
    return fresh[0]


def wait_over(row: CriticalResult) -> None:
    CriticalResult.objects.filter(pk=row.pk).update(due_at=timezone.now() - timedelta(hours=1))


def paged(row: CriticalResult) -> list[tuple[Any, str]]:
    return [(page.recipient, page.channel) for page in row.pages.order_by("created_at", "pk")]


def kinds(row: CriticalResult) -> list[str]:
    return list(row.steps.values_list("kind", flat=True))


# --- what is critical ---


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"abnormal_flag": "critical_high"}, True),
        ({"abnormal_flag": "critical_low"}, True),
        ({"abnormal_flag": "abnormal", "flagged_critical": True}, True),
        ({"abnormal_flag": "abnormal"}, False),
        ({"abnormal_flag": "high"}, False),
        ({"abnormal_flag": ""}, False),
        ({"abnormal_flag": "critical_high", "status": "preliminary"}, True),
        ({"abnormal_flag": "critical_high", "status": "corrected"}, True),
        ({"abnormal_flag": "critical_high", "status": "pending"}, False),
        ({"abnormal_flag": "critical_high", "status": "cancelled"}, False),
    ],
)
def test_the_laboratorys_own_flags_make_a_value_critical(fields: dict[str, Any], expected: bool) -> None:
    assert critical.is_critical(found(**fields)) is expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("6.5", "mmol/L", False),
        ("6.5001", "mmol/L", True),
        ("2.5", "mmol/L", False),
        ("2.4", "mmol/L", True),
        ("6.9", "", True),
        ("6.9", " MMOL/l ", True),
        ("6.9", "mg/dL", False),
        ("hemolysed", "mmol/L", False),
        ("<2.5", "mmol/L", False),
    ],
)
def test_bounds_of_the_practice_make_a_value_critical_in_their_own_unit(value: str, unit: str, expected: bool) -> None:
    test = make_lab_test(critical_low=Decimal("2.5"), critical_high=Decimal("6.5"), unit_of_measure="mmol/L")
    assert critical.is_critical(found(value, unit=unit, lab_test=test, abnormal_flag="")) is expected


def test_the_critical_bounds_of_a_test_are_in_order() -> None:
    with pytest.raises(DatabaseError, match="critical_in_order"), transaction.atomic():
        make_lab_test(critical_low=Decimal("6.5"), critical_high=Decimal("2.5"))


# --- who is paged ---


def test_a_critical_result_pages_the_ordering_doctor_within_the_filing() -> None:
    doctor = make_doctor(user=make_user("doctor", phone=PHONE))
    row = make_critical_result(lab_order=make_lab_order(doctor=doctor, status="in_progress"))
    assert (row.doctor, row.status, row.tier, row.patient) == (
        doctor,
        "open",
        Tier.DOCTOR,
        row.result.lab_order.patient,
    )
    assert paged(row) == [(doctor.user, "sms")]
    assert timedelta(minutes=14) < row.due_at - timezone.now() <= timedelta(minutes=15)
    assert not Alert.objects.exists()


def test_one_without_a_number_gets_an_e_mail_and_the_policy_may_ask_for_both() -> None:
    assert [way for _, way in paged(make_critical_result())] == ["email"]
    CriticalPolicy.objects.create(channel="both", covering_after_minutes=5)
    doctor = make_doctor(user=make_user("doctor", phone=PHONE))
    row = make_critical_result(lab_order=make_lab_order(doctor=doctor, status="in_progress"))
    assert {way for _, way in paged(row)} == {"sms", "email"}
    assert row.due_at - timezone.now() <= timedelta(minutes=5)


def test_a_normal_result_pages_nobody() -> None:
    critical.notice([found(abnormal_flag="normal")])
    assert not CriticalResult.objects.exists()


def test_the_same_versions_noticed_again_are_the_same_pages() -> None:
    row = make_critical_result()
    known, placed = versions.place([LabResult(**{name: getattr(row.result, name) for name in SAID})])
    critical.notice(known)
    assert (known, placed) == ([], [row.result])
    assert CriticalResult.objects.count() == CriticalPage.objects.count() == 1


SAID = (*services.COPIED, "status", "reported_at", "sent_at")


def test_a_version_that_is_not_current_pages_nobody() -> None:
    result = found(abnormal_flag="normal")
    earlier = LabResult(**{name: getattr(result, name) for name in SAID})
    earlier.abnormal_flag, earlier.reported_at = "critical_high", result.reported_at - timedelta(hours=1)
    fresh, _ = versions.place([earlier])
    critical.notice(fresh)
    assert not CriticalResult.objects.exists()


def test_an_old_result_from_a_load_is_listed_and_pages_nobody() -> None:
    row = make_critical_result(reported_at=timezone.now() - timedelta(hours=73))
    assert (row.status, row.due_at, paged(row)) == ("open", None, [])
    assert "too long ago" in row.steps.get().note
    assert critical.escalate_due() == 0
    recent = make_critical_result(reported_at=timezone.now() - timedelta(hours=71))
    assert len(paged(recent)) == 1


@pytest.mark.parametrize("said", [{}, {"reported_at": None, "sent_at": timezone.now()}])
def test_a_culture_that_grows_for_days_pages_when_it_is_reported(said: dict[str, Any]) -> None:
    assert len(paged(make_critical_result(result_date=timezone.now() - timedelta(days=5), **said))) == 1


def test_a_result_nobody_here_ordered_goes_to_the_doctor_who_treated_the_patient_last() -> None:
    order = make_lab_order(is_external=True, doctor=None, status="in_progress")
    now = timezone.now()
    for days, status in ((30, "completed"), (10, "completed"), (5, "cancelled"), (-3, "scheduled")):
        when = now - timedelta(days=days)
        visit = make_appointment(patient=order.patient, appointment_datetime=when, status=status)
        if days == 10:
            last = visit.doctor
    assert make_critical_result(lab_order=order).doctor == last


def test_without_any_doctor_the_administrators_are_paged_at_once_and_an_alert_stands(admin: User) -> None:
    row = make_critical_result(lab_order=make_lab_order(is_external=True, doctor=None, status="in_progress"))
    assert (row.doctor, row.tier, paged(row)) == (None, Tier.ADMINISTRATORS, [(admin, "sms")])
    assert Alert.objects.get(resolved_at=None).cause == row.cause


def test_a_doctor_whose_login_is_closed_is_passed_over(admin: User) -> None:
    doctor = make_doctor(user=make_user("doctor", is_active=False))
    row = make_critical_result(lab_order=make_lab_order(doctor=doctor, status="in_progress"))
    assert (row.tier, paged(row)) == (Tier.ADMINISTRATORS, [(admin, "sms")])


def test_when_nobody_can_be_reached_there_is_an_alert_and_it_is_tried_again(admin: User) -> None:
    User.objects.filter(pk=admin.pk).update(is_active=False)
    row = make_critical_result(lab_order=make_lab_order(is_external=True, doctor=None, status="in_progress"))
    assert paged(row) == []
    assert "unreachable" in kinds(row)
    assert Alert.objects.filter(kind="lab_critical_unreachable", severity="critical", subject_id=str(row.pk)).exists()
    User.objects.filter(pk=admin.pk).update(is_active=True)
    wait_over(row)
    assert critical.escalate_due() == 1
    assert paged(row) == [(admin, "sms")]
    assert not Alert.objects.filter(kind="lab_critical_unreachable", resolved_at=None).exists()


# --- escalation ---


def test_without_an_answer_the_covering_doctor_then_the_administrators_are_paged_again_and_again(admin: User) -> None:
    covering = make_doctor()
    doctor = make_doctor(covering_doctor=covering)
    row = make_critical_result(lab_order=make_lab_order(doctor=doctor, status="in_progress"))
    turns = []
    for _ in range(4):
        assert critical.escalate_due() == 0, "not before its time"
        wait_over(row)
        assert critical.escalate_due() == 1
        row.refresh_from_db()
        turns.append((row.tier, round((row.due_at - timezone.now()) / timedelta(minutes=1))))
    assert turns == [(1, 15), (2, 30), (2, 30), (2, 30)]
    assert [person for person, _ in paged(row)] == [doctor.user, covering.user, admin, admin, admin]
    assert kinds(row) == ["noted", *["escalated"] * 4]
    assert Alert.objects.filter(resolved_at=None, kind="lab_critical_unacknowledged").count() == 1


def test_without_a_covering_doctor_the_administrators_are_next(admin: User) -> None:
    row = make_critical_result()
    wait_over(row)
    critical.escalate_due()
    assert paged(row)[-1] == (admin, "sms")


def test_two_beats_at_once_escalate_once() -> None:
    row = make_critical_result()
    wait_over(row)
    due_at = CriticalResult.objects.get(pk=row.pk).due_at
    assert critical._escalate(row.pk, due_at)
    assert not critical._escalate(row.pk, due_at)
    assert CriticalPage.objects.count() == 2


def test_a_doctor_cannot_cover_for_themselves() -> None:
    doctor = make_doctor()
    with pytest.raises(DatabaseError, match="covered_by_another"), transaction.atomic():
        type(doctor).objects.filter(pk=doctor.pk).update(covering_doctor=doctor)


# --- what the laboratory says later ---


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"result_value": "4.1", "numeric_value": Decimal("4.1"), "abnormal_flag": "normal"}, "corrected"),
        ({"status": "cancelled", "abnormal_flag": ""}, "took the result back"),
    ],
)
@pytest.mark.parametrize("answered", [False, True])
def test_a_correction_closes_it_and_tells_who_was_paged(change: dict[str, Any], reason: str, answered: bool) -> None:
    row = make_critical_result()
    row.pages.update(status="sent", work_state="done")
    if answered:
        critical.acknowledge(row, by=make_user("admin"), read_back="6.9")
    later(row.result, **change)
    row.refresh_from_db()
    assert row.status == "closed"
    assert reason in row.closed_reason
    told = row.pages.filter(subject="corrected")
    assert {page.recipient_id for page in told} == {row.doctor.user_id, *([row.acknowledged_by_id] if answered else [])}
    assert kinds(row)[-1] == "corrected"
    assert critical.escalate_due() == 0


def test_a_correction_before_the_page_left_tells_nobody() -> None:
    row = make_critical_result()
    later(row.result, abnormal_flag="normal")
    assert not row.pages.filter(subject="corrected").exists()


def test_a_correction_to_another_critical_value_pages_anew() -> None:
    row = make_critical_result()
    critical.acknowledge(row, by=make_user("admin"), read_back="6.9")
    newer = later(row.result, result_value="7.4", numeric_value=Decimal("7.4"))
    row.refresh_from_db()
    again = newer.critical_result
    assert (row.status, again.status, len(paged(again))) == ("closed", "open", 1)
    assert not row.pages.filter(subject="corrected").exists()


def test_a_final_that_repeats_a_preliminary_goes_on_where_that_stood(admin: User) -> None:
    row = make_critical_result(status="preliminary")
    wait_over(row)
    critical.escalate_due()
    final = later(row.result, status="final").critical_result
    assert (final.tier, final.status, paged(final)) == (Tier.ADMINISTRATORS, "open", [(admin, "sms")])
    critical.acknowledge(final, by=admin, read_back="6.9")
    corrected = later(final.result, status="corrected", interpretation="checked").critical_result
    assert (corrected.status, corrected.acknowledged_by, paged(corrected)) == ("acknowledged", admin, [])
    statuses = list(CriticalResult.objects.order_by("created_at").values_list("status", flat=True))
    assert statuses == ["closed", "closed", "acknowledged"]


def test_a_result_that_is_entered_or_corrected_by_hand_pages_too() -> None:
    order = make_lab_order(status="in_progress")
    tech = make_user("lab_tech")
    entered = services.enter_result(
        by=tech, lab_order=order, lab_test=order.tests.get(), result_value="6.9", abnormal_flag="critical_high"
    )
    assert entered.critical_result.doctor == order.doctor
    services.correct(entered, by=tech, result_value="4.2", abnormal_flag="normal")
    assert CriticalResult.objects.get().status == "closed"


def test_a_correction_by_hand_keeps_what_the_laboratory_called_very_abnormal_unless_it_says_otherwise() -> None:
    tech = make_user("lab_tech")
    row = make_critical_result(abnormal_flag="abnormal", flagged_critical=True, result_value="Gram negative rods")
    newer = services.correct(row.result, by=tech, result_value="Gram negative rods", interpretation="checked")
    assert newer.critical_result.status == "open"
    services.correct(newer, by=tech, result_value="Contaminated", abnormal_flag="abnormal")
    assert not CriticalResult.objects.filter(status="open").exists()


def test_nothing_stays_when_the_filing_is_rolled_back() -> None:
    with transaction.atomic():
        make_critical_result()
        transaction.set_rollback(True)
    assert not CriticalResult.objects.exists()
    assert not CriticalPage.objects.exists()
    assert not CriticalStep.objects.exists()


def test_a_closed_one_cannot_be_acknowledged() -> None:
    row = make_critical_result()
    later(row.result, abnormal_flag="normal")
    row.refresh_from_db()
    with pytest.raises(DomainError, match="closed"):
        critical.acknowledge(row, by=make_user("admin"), read_back="6.9")
