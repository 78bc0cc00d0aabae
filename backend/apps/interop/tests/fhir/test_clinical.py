"""Proves what the clinical record says as FHIR of each state a row may be in, and what of it patients see."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from backend.apps.appointments.models import Appointment, AppointmentStatus
from backend.apps.core.roles import Role
from backend.apps.interop.fhir.source import Source, rows_among
from backend.apps.interop.fhir.sources.documents import RESULT_DOCUMENTS
from backend.apps.interop.fhir.sources.orders import ORDERS, REPORTS, SPECIMENS
from backend.apps.interop.fhir.sources.results import RESULTS
from backend.apps.interop.fhir.sources.vital_signs import VITALS
from backend.apps.interop.tests.fhir.clinical_makers import (
    bare_result,
    full_result,
    full_specimen,
    measured_note,
    reported_order,
    seen_order,
    unasked_order,
)
from backend.apps.laboratory import services as laboratory
from backend.apps.laboratory.models import LabOrder, LabResult, LabTest, OrderStatus, ReportedPanel, ResultStatus
from backend.apps.laboratory.tests.factories import (
    NOON,
    filed,
    make_lab_order,
    make_lab_result,
    make_lab_specimen,
    make_panel,
    observation_in,
    order_in,
    report_in,
)
from backend.apps.patients import services as patients
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.fhir.resources.appointment import STATUSES as OF_APPOINTMENTS
from integrations.fhir.resources.observation import STATUSES as OF_RESULTS
from integrations.fhir.resources.service_request import STATUSES as OF_ORDERS
from tests.support.fhir_rows import GIVEN

pytestmark = pytest.mark.django_db
LONG_AGO = "2000-01-01T00:00:00Z"


def told(source: Source, row: Any, role: str = "") -> list[dict[str, Any]]:
    """Return the resources of a row; numbers are Decimal."""
    line = source.resource.line(GIVEN)
    found = rows_among(source, source.model._base_manager.filter(pk=row.pk), role=role)
    return [json.loads(line(one), parse_float=Decimal, parse_int=Decimal) for one in found]


def only(source: Source, row: Any, role: str = "") -> dict[str, Any]:
    [found] = told(source, row, role)
    return found


def gone(source: Source) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(source.deleted, [LONG_AGO])
        return sorted(fhir_id for fhir_id, _ in cursor.fetchall())


def released() -> dict[str, Any]:
    return {"verified_at": NOON, "verified_by": make_user(Role.DOCTOR), "released_at": NOON}


def quantity(**over: Any) -> Any:
    return only(RESULTS, bare_result(**{"value_type": "NM", **over})).get("valueQuantity")


def test_a_value_keeps_the_digits_it_was_sent_with() -> None:
    sent = partial(quantity, unit="mmol/L")
    assert str(sent(result_value="4.10", numeric_value=Decimal("4.1"))["value"]) == "4.10"
    assert str(sent(result_value=".5", numeric_value=Decimal("0.5"))["value"]) == "0.5"
    assert str(sent(result_value="4.1 mmol/L", numeric_value=Decimal("4.1"))["value"]) == "4.1"
    assert str(sent(result_value="5", numeric_value=Decimal("4.1000"))["value"]) == "4.1"


def test_a_number_that_a_person_wrote_down_is_a_quantity() -> None:
    assert str(quantity(value_type="", result_value=" 4.10 ")["value"]) == "4.10"
    assert quantity(value_type="ST", result_value="4.1") is None
    order = make_lab_order(status="in_progress")
    entered = laboratory.enter_result(by=None, lab_order=order, lab_test=order.tests.get(), result_value="4.10")
    corrected = laboratory.correct(entered, by=None, result_value="+5.0")
    told_so = only(RESULTS, corrected)
    assert (str(told_so["valueQuantity"]["value"]), told_so["valueQuantity"]["unit"]) == ("5.0", "mmol/L")
    assert "valueString" not in told_so


def test_a_bound_is_a_quantity_with_its_comparator() -> None:
    unit = {"unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
    assert quantity(value_type="SN", result_value=">= 1000", unit="%") == {
        "value": 1000, "comparator": ">=", **unit
    }  # fmt: skip
    assert str(quantity(result_value="<0.50")["value"]) == "0.50"
    assert quantity(result_value="<0.50", unit="%") == {"value": Decimal("0.50"), "comparator": "<", **unit}
    assert quantity(value_type="TX", result_value="<5") is None
    for text in ("<5", " < 5.0 ", "<5 %"):
        found = quantity(value_type="TX", result_value=text, numeric_value=Decimal(5))
        assert (found["comparator"], found["value"]) == ("<", 5), text
    below = quantity(result_value="<5", numeric_value=Decimal("4.9"))
    assert (below["comparator"], below["value"]) == ("<", 5)


def test_what_is_no_number_is_a_text_or_an_answer_from_a_list() -> None:
    assert only(RESULTS, bare_result(value_type="TX", result_value="E. coli"))["valueString"] == "E. coli"
    assert only(RESULTS, bare_result(value_type="CWE", result_value="Detected"))["valueCodeableConcept"] == {
        "text": "Detected"
    }


@pytest.mark.parametrize(
    ("status", "reason"), [("pending", "temp-unknown"), ("cancelled", "not-performed"), ("final", "unknown")]
)
def test_a_result_without_a_value_says_why(status: str, reason: str) -> None:
    found = only(RESULTS, bare_result(status=status))
    assert found["dataAbsentReason"]["coding"][0]["code"] == reason
    assert not any(name.startswith("value") for name in found)


def test_every_status_of_ours_has_one_of_theirs() -> None:
    assert set(OF_RESULTS) == set(ResultStatus.values)
    assert set(OF_ORDERS) == set(OrderStatus.values)
    assert set(OF_APPOINTMENTS) == set(AppointmentStatus.values)


@pytest.mark.parametrize(
    ("flag", "critical", "code"), [("critical_high", True, "HH"), ("low", False, "L"), ("", True, "AA")]
)
def test_a_flag_is_an_interpretation(flag: str, critical: bool, code: str) -> None:
    found = only(RESULTS, bare_result(abnormal_flag=flag, flagged_critical=critical))
    assert found["interpretation"][0]["coding"][0]["code"] == code


def test_a_finding_points_to_all_around_it() -> None:
    row = full_result()
    found = only(RESULTS, row)
    order = row.lab_order
    assert found["basedOn"] == [{"reference": f"ServiceRequest/{order.pk}"}]
    assert found["subject"] == {"reference": f"Patient/{order.patient_id}"}
    assert found["encounter"] == {"reference": f"Encounter/{order.appointment_id}"}
    assert found["performer"] == [{"reference": f"Organization/{row.source_message.feed_id}"}]
    assert found["specimen"] == {"reference": f"Specimen/{row.panel.specimens.get().pk}"}
    assert datetime.fromisoformat(found["meta"]["lastUpdated"]) == row.updated_at
    assert (found["effectiveDateTime"], found["issued"]) == ("2026-03-02T12:00:00Z", "2026-03-02T13:00:00Z")


def test_moments_are_written_in_one_form_whatever_the_server_prefers() -> None:
    row = full_result()
    found = only(RESULTS, row)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL DateStyle = 'German'")
    assert only(RESULTS, row) == found


def test_a_finding_of_a_panel_with_two_specimens_names_neither() -> None:
    row = full_result()
    make_lab_specimen(lab_order=row.lab_order, panel=row.panel)
    assert "specimen" not in only(RESULTS, row)


def test_an_earlier_version_is_found_by_its_number_alone() -> None:
    current = full_result(version=2)
    past = make_lab_result(
        lab_order=current.lab_order, result_key=current.result_key, is_current=False, result_value="9"
    )
    rows = LabResult.all_objects
    assert rows.get(RESULTS.past(current.result_key, "1-0f")) == past
    assert rows.get(RESULTS.by_id(current.result_key)) == current
    assert [RESULTS.past(current.result_key, name) for name in ("one", "1", "1-")] == [None, None, None]
    assert told(RESULTS, past) == []


def test_a_finding_is_another_version_when_its_number_says_something_else() -> None:
    row = full_result()
    order, test = row.lab_order, row.lab_test
    rows, seen = LabResult.objects.filter(pk=row.pk), {only(RESULTS, row)["meta"]["versionId"]}
    for change in (
        lambda: LabTest.objects.filter(pk=test.pk).update(test_name="Kalium", updated_at=NOON),
        lambda: LabOrder.objects.filter(pk=order.pk).update(patient=make_patient()),
        lambda: Appointment.objects.update(status="no_show"),
        lambda: rows.update(lab_order=make_lab_order()),
        lambda: rows.update(file_attachment="lab_results/scan.pdf"),
        lambda: rows.update(version=2),
    ):
        change()
        version = only(RESULTS, row)["meta"]["versionId"]
        assert version not in seen
        seen.add(version)
    rows.update(updated_at=timezone.now())
    assert only(RESULTS, row)["meta"]["versionId"] in seen


def test_what_tells_of_a_visit_changes_as_its_encounter_comes_and_goes() -> None:
    row, soap = full_result(file_attachment="lab_results/scan.pdf"), measured_note()
    order = row.lab_order
    rows = ((RESULTS, row), (RESULT_DOCUMENTS, row), (ORDERS, order), (REPORTS, order), (VITALS, soap))
    earlier = [told(source, one)[0] for source, one in rows]
    at = timezone.now().replace(year=2100, microsecond=0)
    Appointment.objects.update(status="no_show", updated_at=at)
    for (source, one), before in zip(rows, earlier, strict=True):
        after = told(source, one)[0]
        assert ("encounter" in str(before), "encounter" in str(after)) == (True, False), source.name
        assert after["meta"]["lastUpdated"].startswith("2100-"), source.name
        assert after["meta"]["versionId"] != before["meta"]["versionId"], source.name
        changed = rows_among(
            source, source.model._base_manager.filter(pk=one.pk), also=f"{source.changed} = %s", values=[at]
        )
        assert changed, source.name


def test_what_a_merge_moves_to_another_record_has_changed() -> None:
    row = full_result()
    specimen = row.panel.specimens.get()
    before = (only(RESULTS, row)["meta"]["lastUpdated"], only(SPECIMENS, specimen)["meta"]["lastUpdated"])
    into = patients.merge(row.lab_order.patient, by=None, into=make_patient())
    after = (only(RESULTS, row), only(SPECIMENS, specimen))
    assert all(one["subject"] == {"reference": f"Patient/{into.pk}"} for one in after)
    assert all(one["meta"]["lastUpdated"] > then for one, then in zip(after, before, strict=True))


def test_the_name_of_a_finding_that_a_merge_drops_is_told_of_its_patient() -> None:
    people = [make_patient(), make_patient()]
    for patient in people:
        filed(report_in(patient, order_in(observation_in(), filler="F1")))
    before = set(LabResult.objects.values_list("result_key", flat=True))
    into = patients.merge(people[0], by=None, into=people[1])
    [dropped] = before - {LabResult.objects.get(is_current=True).result_key}
    assert gone(RESULTS) == [dropped]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {RESULTS.columns['id']} FROM {RESULTS.traces} WHERE {RESULTS.patient} = %s",  # noqa: S608  # ours
            [into.pk],
        )
        assert {fhir_id for (fhir_id,) in cursor.fetchall()} == before


def test_an_order_of_several_tests_lists_them() -> None:
    order = reported_order(diagnosis_code="E11.9")
    found = only(ORDERS, order)
    assert len(found["orderDetail"]) == 2
    assert "coding" not in found["code"]
    assert found["reasonCode"][0]["coding"][0]["code"] == "E11.9"
    one = only(ORDERS, seen_order())
    assert one["code"]["coding"][0]["code"] == "2823-3"
    assert "orderDetail" not in one


def test_a_specimen_has_the_number_of_the_laboratory_and_an_end_after_its_begin() -> None:
    def accession(order: LabOrder, number: str, **over: Any) -> Any:
        row = make_lab_specimen(lab_order=order, panel=make_panel(order, number=number, **over))
        return only(SPECIMENS, row).get("accessionIdentifier", {}).get("value")

    order = seen_order()
    assert accession(order, "F@1") == "F@1"
    assert accession(order, "P1", placers=["P1"]) is None
    assert accession(order, "24323-8@2026-03-02T12:00:00+00:00") is None
    assert accession(order, "24323-8@") is None
    turned = full_specimen(collected_until=NOON - timedelta(minutes=5))
    assert only(SPECIMENS, turned)["collection"]["collectedDateTime"].startswith("2026-03-02T12:00:00")


def test_patients_see_what_an_unasked_order_was_for_once_it_was_released() -> None:
    order = unasked_order()
    panel = order.reported_panels.get(panel_text="Electrolytes")
    assert only(ORDERS, order, Role.DOCTOR)["code"] == {"text": "24323-8, Electrolytes"}
    assert only(ORDERS, order, Role.PATIENT)["code"] == {"text": "Laboratory order"}
    make_lab_result(lab_order=order, panel=panel, **released())
    assert "24323-8" not in only(ORDERS, order, Role.PATIENT)["code"]["text"]
    assert only(REPORTS, order, Role.PATIENT)["code"]["text"] == "Electrolytes"


def test_a_report_of_a_patient_does_not_change_with_what_was_not_released() -> None:
    order = reported_order()
    make_lab_result(lab_order=order, **released())
    before = only(REPORTS, order, Role.PATIENT)["meta"]
    make_lab_result(lab_order=order)
    assert only(REPORTS, order, Role.PATIENT)["meta"] == before
    assert only(REPORTS, order, Role.DOCTOR)["meta"] != before


def test_a_specimen_that_was_refused_is_unsatisfactory() -> None:
    assert only(SPECIMENS, full_specimen())["status"] == "unsatisfactory"
    assert only(SPECIMENS, make_lab_specimen())["status"] == "available"


def test_an_order_is_a_report_once_something_was_found() -> None:
    order = seen_order(status="in_progress")
    assert told(REPORTS, order) == []
    row = make_lab_result(lab_order=order, status="preliminary")
    found = only(REPORTS, order)
    assert found["status"] == "preliminary"
    assert found["result"] == [{"reference": f"Observation/{row.result_key}"}]


@pytest.mark.parametrize(
    ("order", "results", "status"),
    [
        ("completed", ["final", "cancelled"], "final"),
        ("completed", ["final", "corrected"], "corrected"),
        ("in_progress", ["final", "pending"], "partial"),
        ("in_progress", ["pending"], "registered"),
        ("cancelled", ["cancelled"], "cancelled"),
        ("cancelled", ["final", "cancelled"], "final"),
        ("completed", ["final", "preliminary"], "partial"),
        ("completed", ["preliminary"], "preliminary"),
    ],
)
def test_a_report_is_as_far_as_its_findings(order: str, results: list[str], status: str) -> None:
    row = make_lab_order(status=order)
    for one in results:
        make_lab_result(lab_order=row, status=one)
    assert only(REPORTS, row)["status"] == status


def test_a_report_that_lost_all_its_findings_is_gone_and_told_of_its_patient() -> None:
    order = reported_order()
    make_lab_order(status="ordered")
    home = make_lab_order(patient=order.patient, status="in_progress")
    LabResult.objects.filter(lab_order=order).update(lab_order=home)
    ReportedPanel.objects.filter(lab_order=order).update(
        lab_order=home, placers=[home.order_number, order.order_number]
    )
    assert told(REPORTS, order) == []
    assert gone(REPORTS) == [str(order.pk)]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {REPORTS.patient} FROM {REPORTS.tables} WHERE t.id = %s", [order.pk])  # noqa: S608  # ours
        assert cursor.fetchall() == [(order.patient_id,)]


def test_what_never_was_a_report_is_not_told_as_gone() -> None:
    for status in ("in_progress", "cancelled", "completed"):
        make_lab_order(status=status)
    make_lab_order().delete()
    report = reported_order()
    assert gone(REPORTS) == []
    report.delete()
    assert gone(REPORTS) == [str(report.pk)]


def test_a_report_that_does_not_say_when_it_was_measured_says_so() -> None:
    found = only(REPORTS, bare_result().lab_order)
    assert found["_effectiveDateTime"]["extension"][0]["valueCode"] == "unknown"
    assert "effectiveDateTime" not in found
    assert found["issued"]
    assert "_effectiveDateTime" not in only(REPORTS, reported_order())


def test_a_report_changes_with_its_findings() -> None:
    order = seen_order()
    row = make_lab_result(lab_order=order)
    later = timezone.now().replace(year=2100, microsecond=0)
    LabResult.objects.filter(pk=row.pk).update(updated_at=later)
    assert only(REPORTS, order)["meta"]["lastUpdated"].startswith("2100-")


def test_patients_see_of_a_report_what_was_released_and_no_specimens() -> None:
    order = reported_order()
    patient = order.patient
    patient.user = make_user(Role.PATIENT)
    patient.save()
    assert not REPORTS.visible(patient.user).exists()
    row = make_lab_result(lab_order=order, **released())
    assert REPORTS.visible(patient.user).get() == order
    found = only(REPORTS, order, Role.PATIENT)
    assert found["result"] == [{"reference": f"Observation/{row.result_key}"}]
    assert "specimen" not in found
    assert len(only(REPORTS, order, Role.DOCTOR)["result"]) == 2
    assert "specimen" not in only(RESULTS, full_result(), Role.PATIENT)
