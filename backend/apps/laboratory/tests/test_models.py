"""Holds what the laboratory's tables say about themselves, in Python and in the database."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from backend.apps.core.exceptions import Conflict, DomainError, IllegalTransition
from backend.apps.laboratory.models import InboundMessage, LabOrder, LabResult, LabTest
from backend.apps.laboratory.models.orders import ICD_10_CM
from backend.apps.laboratory.tests.factories import (
    NOON,
    make_inbound_message,
    make_lab_order,
    make_lab_result,
    make_lab_test,
)
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
STATES = ["pending", "ordered", "specimen_collected", "in_progress", "completed", "cancelled"]
ARROWS = {
    ("pending", "place"): "ordered",
    ("ordered", "mark_as_collected"): "specimen_collected",
    ("specimen_collected", "start"): "in_progress",
    ("in_progress", "mark_as_completed"): "completed",
    ("pending", "cancel"): "cancelled",
    ("ordered", "cancel"): "cancelled",
    ("specimen_collected", "cancel"): "cancelled",
    ("in_progress", "cancel"): "cancelled",
}
VERBS = ["place", "mark_as_collected", "start", "mark_as_completed", "cancel"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", STATES)
def test_an_order_moves_along_its_arrows_and_along_no_other(state: str, verb: str) -> None:
    order = make_lab_order(status=state)
    if (state, verb) in ARROWS:
        getattr(order, verb)()
        assert LabOrder.objects.get(pk=order.pk).status == ARROWS[state, verb]
    else:
        with pytest.raises(IllegalTransition):
            getattr(order, verb)()
        assert LabOrder.objects.get(pk=order.pk).status == state


def test_an_order_keeps_the_moments_of_its_way() -> None:
    order = make_lab_order()
    for verb in VERBS[:-1]:
        getattr(order, verb)()
    order.refresh_from_db()
    assert order.order_date <= order.specimen_collected_at <= order.completed_at
    assert order.is_completed
    assert not order.is_open


def test_a_move_of_a_stale_order_is_a_conflict() -> None:
    order = make_lab_order()
    LabOrder.objects.filter(pk=order.pk).update(status="ordered")
    with pytest.raises(Conflict):
        order.place()


@pytest.mark.parametrize(("priority", "urgent"), [("routine", False), ("urgent", True), ("stat", True)])
def test_urgent_and_stat_are_urgent(priority: str, urgent: bool) -> None:
    assert make_lab_order(priority=priority).is_urgent is urgent


def test_order_numbers_come_from_a_sequence_and_are_never_the_same() -> None:
    numbers = {make_lab_order().order_number for _ in range(5)}
    assert len(numbers) == 5
    assert all(number.startswith("LO") and len(number) == 9 for number in numbers)


@pytest.mark.parametrize("role", ["nurse", "lab_tech", "patient", "admin"])
def test_only_a_doctor_reviews(role: str) -> None:
    with pytest.raises(DomainError, match="Only a doctor"):
        make_lab_order(status="completed").review(make_user(role=role))


def test_a_review_wants_results_and_stands() -> None:
    doctor = make_user(role="doctor")
    with pytest.raises(DomainError, match="no finished results"):
        make_lab_order(status="in_progress").review(doctor)
    order = make_lab_order(status="completed")
    order.review(doctor)
    assert (order.reviewed_by, order.reviewed_at is not None) == (doctor, True)
    with pytest.raises(Conflict):
        order.review(make_user(role="doctor"))
    assert LabOrder.objects.get(pk=order.pk).reviewed_by == doctor


@pytest.mark.parametrize("code", ["", "E11.9", "I10", "U07.1", "S72.001A", "Z3A.01", "C7A.020", "QA0.0101"])
def test_diagnosis_codes_of_the_right_shape_are_taken(code: str) -> None:
    make_lab_order(diagnosis_code=code).full_clean()


@pytest.mark.parametrize("code", ["E1", "11.9", "e11.9", "E119.", "E11.12345", "E11 9"])
def test_diagnosis_codes_of_another_shape_are_refused(code: str) -> None:
    order = make_lab_order()
    order.diagnosis_code = code
    with pytest.raises(ValidationError, match="ICD-10-CM"):
        order.full_clean()
    with pytest.raises((IntegrityError, DataError)), transaction.atomic():
        order.save()


def test_the_shape_is_one_the_database_reads_the_same() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'E11.9' ~ %s, 'E11.' ~ %s", [ICD_10_CM, ICD_10_CM])
        assert cursor.fetchone() == (True, False)


def test_an_appointment_of_another_patient_is_refused() -> None:
    order = make_lab_order()
    order.appointment_id = order.pk  # no such appointment: full_clean names the field
    with pytest.raises(ValidationError, match="appointment"):
        order.clean_fields()


@pytest.mark.parametrize(
    ("low", "high", "unit", "text"),
    [
        ("3.5", "5.1", "mmol/L", "3.5 - 5.1 mmol/L"),
        (None, "200", "mg/dL", "< 200 mg/dL"),
        ("40", None, "", "> 40"),
        (None, None, "mg/dL", ""),
        ("0", "0.4000", "", "0 - 0.4"),
        ("1000", "2000", "U/L", "1000 - 2000 U/L"),
    ],
)
def test_the_normal_range_reads_as_people_write_it(low: Any, high: Any, unit: str, text: str) -> None:
    test = LabTest(normal_range_min=low and Decimal(low), normal_range_max=high and Decimal(high), unit_of_measure=unit)
    assert test.normal_range_display == text


def test_a_test_code_is_on_file_once() -> None:
    test = make_lab_test()
    with pytest.raises(IntegrityError), transaction.atomic():
        make_lab_test(test_code=test.test_code)


@pytest.mark.parametrize(
    ("make", "model", "wrong"),
    [
        (make_lab_test, LabTest, {"normal_range_min": 6}),
        (make_lab_test, LabTest, {"price": -1}),
        (make_lab_test, LabTest, {"test_category": "magic"}),
        (make_lab_test, LabTest, {"specimen_type": "aura"}),
        (make_lab_test, LabTest, {"code_system": "x"}),
        (make_lab_test, LabTest, {"test_code": "a b"}),
        (make_lab_test, LabTest, {"turnaround_time_hours": 0}),
        (make_lab_order, LabOrder, {"status": "lost"}),
        (make_lab_order, LabOrder, {"status": "completed"}),
        (make_lab_order, LabOrder, {"status": "cancelled"}),
        (make_lab_order, LabOrder, {"priority": "soon"}),
        (make_lab_order, LabOrder, {"doctor": None}),
        (make_lab_order, LabOrder, {"order_number": ""}),
        (make_lab_order, LabOrder, {"reviewed_at": NOON}),
        (make_lab_order, LabOrder, {"is_deleted": True}),
        (make_inbound_message, InboundMessage, {"status": "lost"}),
        (make_inbound_message, InboundMessage, {"work_state": "lost"}),
        (make_inbound_message, InboundMessage, {"ack_code": "OK"}),
    ],
)
def test_the_database_refuses_what_makes_no_sense(make: Any, model: Any, wrong: dict[str, Any]) -> None:
    row = make()
    with pytest.raises(IntegrityError), transaction.atomic():
        model.all_objects.filter(pk=row.pk).update(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "guessed"},
        {"abnormal_flag": "odd"},
        {"result_key": "short"},
        {"version": 0},
        {"verified_at": NOON},
        {"released_at": NOON},
        {"status": "preliminary", "verified_at": NOON},
        {"lab_test": None, "code_as_sent": ""},
    ],
)
def test_the_database_refuses_a_result_that_makes_no_sense(wrong: dict[str, Any]) -> None:
    order = make_lab_order()
    if "verified_at" in wrong and "status" in wrong:
        wrong = {**wrong, "verified_by": make_user(role="doctor")}
    with pytest.raises(IntegrityError), transaction.atomic():
        make_lab_result(lab_order=order, **wrong)


@pytest.mark.parametrize(
    "change",
    [
        {"result_value": "9"},
        {"numeric_value": Decimal(9)},
        {"unit": "g"},
        {"status": "corrected"},
        {"abnormal_flag": "high"},
        {"result_date": NOON - timedelta(days=1)},
        {"reported_at": None},
        {"interpretation": "fine"},
        {"reference_range": "0-1"},
        {"code_as_sent": "1-8"},
        {"result_key": "0" * 64},
        {"digest": "0" * 64},
        {"is_deleted": True, "deleted_at": NOON},
        {"created_at": NOON},
    ],
)
def test_a_filed_result_is_never_rewritten(change: dict[str, Any]) -> None:
    result = make_lab_result()
    with pytest.raises(IntegrityError, match="never rewritten"), transaction.atomic():
        LabResult.all_objects.filter(pk=result.pk).update(**change)


def test_a_filed_result_is_never_deleted() -> None:
    result = make_lab_result()
    with pytest.raises(IntegrityError, match="never rewritten"), transaction.atomic():
        result.delete()
    with pytest.raises(IntegrityError, match="never deleted"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM laboratory_labresult WHERE id = %s", [result.pk])
    assert LabResult.objects.filter(pk=result.pk).exists()


def test_an_observation_has_one_current_version() -> None:
    result = make_lab_result()
    with pytest.raises(IntegrityError), transaction.atomic():
        make_lab_result(lab_order=result.lab_order, result_key=result.result_key, result_value="5", version=2)


def test_verifying_releases_and_stands() -> None:
    result, doctor = make_lab_result(), make_user(role="doctor")
    result.verify(doctor)
    stored = LabResult.objects.get(pk=result.pk)
    assert (stored.verified_by, stored.released_at) == (doctor, stored.verified_at)
    with pytest.raises(Conflict, match="verified already"):
        result.verify(make_user(role="doctor"))
    with pytest.raises(IntegrityError, match="never rewritten"), transaction.atomic():
        LabResult.objects.filter(pk=result.pk).update(verified_at=timezone.now())


@pytest.mark.parametrize("status", ["pending", "preliminary", "cancelled"])
def test_what_is_not_final_is_not_verified(status: str) -> None:
    result = make_lab_result(status=status)
    with pytest.raises(DomainError, match="final or corrected"):
        result.verify(make_user(role="doctor"))


@pytest.mark.parametrize(
    ("flag", "abnormal", "critical"),
    [
        ("", False, False),
        ("normal", False, False),
        ("high", True, False),
        ("low", True, False),
        ("abnormal", True, False),
        ("critical_high", True, True),
        ("critical_low", True, True),
    ],
)
def test_flags_say_abnormal_and_critical(flag: str, abnormal: bool, critical: bool) -> None:
    result = LabResult(abnormal_flag=flag)
    assert (result.is_abnormal, result.is_critical) == (abnormal, critical)


def test_no_text_of_a_row_names_the_patient_or_a_value() -> None:
    result = make_lab_result(result_value="secret")
    texts = [str(row) for row in (result, result.lab_order, make_inbound_message(b"secret"))]
    assert not any("secret" in text or "Okafor" in text for text in texts)
