"""Holds the laboratory's resources to the common contract, to the roles and to whose chart it is."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from backend.apps.core.models import AuditLog
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory import services
from backend.apps.laboratory.models import LabOrder, LabResult
from backend.apps.laboratory.tests.factories import (
    make_inbound_message,
    make_lab_order,
    make_lab_result,
    make_lab_test,
    report_in,
)
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db
ORDERS, RESULTS, MESSAGES = "/api/v1/lab-orders/", "/api/v1/lab-results/", "/api/v1/inbound-messages/"


class TestLabTests(ApiContract):
    url = "/api/v1/lab-tests/"
    reader = "lab_tech"
    stranger = "receptionist"
    make = staticmethod(make_lab_test)


class TestLabOrders(ApiContract):
    url = ORDERS
    reader = "nurse"
    stranger = "receptionist"
    make = staticmethod(make_lab_order)


class TestLabResults(ApiContract):
    url = RESULTS
    reader = "lab_tech"
    stranger = "receptionist"
    make = staticmethod(make_lab_result)


class TestInboundMessages(ApiContract):
    url: ClassVar[str] = MESSAGES
    reader = "lab_tech"
    stranger = "doctor"
    make = staticmethod(make_inbound_message)


def listed(user: Any, url: str) -> set[str]:
    answer = client_for(user).get(url)
    assert answer.status_code == 200, answer.data
    return {row["id"] for row in answer.data["results"]}


def test_a_doctor_sees_the_orders_and_results_of_own_patients_only() -> None:
    doctor = make_doctor()
    own = make_lab_order(doctor=doctor, status="in_progress")
    result = make_lab_result(lab_order=own)
    unasked = make_lab_result(lab_order=make_lab_order(patient=own.patient, is_external=True))
    make_lab_result()
    assert listed(doctor.user, ORDERS) == {str(own.pk), str(unasked.lab_order_id)}
    assert listed(doctor.user, RESULTS) == {str(result.pk), str(unasked.pk)}


def test_a_patient_sees_own_results_once_they_are_released_and_current() -> None:
    patient = make_patient(user=make_user(role="patient"))
    order = make_lab_order(patient=patient, status="in_progress")
    result = make_lab_result(lab_order=order)
    make_lab_result()
    assert listed(patient.user, ORDERS) == {str(order.pk)}
    assert listed(patient.user, RESULTS) == set()
    result.verify(make_user(role="doctor"))
    assert listed(patient.user, RESULTS) == {str(result.pk)}
    services.correct(result, by=make_user(role="lab_tech"), result_value="9.9")
    assert listed(patient.user, RESULTS) == set()


@pytest.mark.parametrize("role", ["receptionist", "pharmacist"])
@pytest.mark.parametrize("url", [ORDERS, RESULTS, MESSAGES, "/api/v1/lab-tests/"])
def test_front_desk_and_pharmacy_have_no_laboratory(role: str, url: str) -> None:
    assert client_for(make_user(role=role)).get(url).status_code == 403


@pytest.mark.parametrize("role", ["doctor", "nurse", "patient", "receptionist", "pharmacist"])
def test_received_messages_are_for_the_laboratory(role: str) -> None:
    assert client_for(make_user(role=role)).get(MESSAGES).status_code == 403


@pytest.mark.parametrize("role", ["admin", "lab_tech"])
def test_the_bytes_of_a_message_never_leave_by_the_api(role: str) -> None:
    message = make_inbound_message(b"MSH|^~\\&|canary-in-the-body")
    answer = client_for(make_user(role=role)).get(f"{MESSAGES}{message.pk}/")
    assert answer.status_code == 200
    assert "raw" not in answer.data
    assert b"canary" not in answer.content


@pytest.mark.parametrize(("method", "path"), [("post", ""), ("patch", "{pk}/"), ("put", "{pk}/"), ("delete", "{pk}/")])
def test_nobody_writes_received_messages_nor_rewrites_results(method: str, path: str) -> None:
    client = client_for(make_user(role="admin"))
    message, result = make_inbound_message(), make_lab_result()
    answer = getattr(client, method)(MESSAGES + path.format(pk=message.pk), {"status": "filed"}, format="json")
    assert answer.status_code == 403
    if path:
        answer = getattr(client, method)(RESULTS + path.format(pk=result.pk), {"result_value": "1"}, format="json")
        assert answer.status_code == 403
        assert LabResult.objects.get(pk=result.pk).result_value == "4.1"


def test_an_order_goes_its_whole_way_over_the_api() -> None:
    doctor, patient, test = make_doctor(), make_patient(), make_lab_test()
    make_lab_order(doctor=doctor, patient=patient)  # makes the patient this doctor's own
    desk, bench = client_for(doctor.user), client_for(make_user(role="lab_tech"))
    body = {"patient": str(patient.pk), "tests": [str(test.pk)], "priority": "stat", "diagnosis_code": "E11.9"}
    made = desk.post(ORDERS, body, format="json")
    assert made.status_code == 201, made.data
    assert made.data["doctor"] == doctor.pk
    assert made.data["is_urgent"] is True
    assert made.data["order_number"].startswith("LO")
    url = f"{ORDERS}{made.data['id']}/"
    assert desk.post(f"{url}place/").data["status"] == "ordered"
    assert bench.post(f"{url}mark_as_collected/").data["status"] == "specimen_collected"
    entered = bench.post(
        RESULTS,
        {"lab_order": made.data["id"], "lab_test": str(test.pk), "result_value": "4.4", "abnormal_flag": "normal"},
        format="json",
    )
    assert entered.status_code == 201, entered.data
    assert (entered.data["unit"], entered.data["reference_range"]) == ("mmol/L", "3.5 - 5.1 mmol/L")
    assert LabOrder.objects.get(pk=made.data["id"]).status == "completed"
    verified = desk.post(f"{RESULTS}{entered.data['id']}/verify/")
    assert verified.status_code == 200, verified.data
    assert verified.data["verified_by"] == doctor.user.pk
    reviewed = desk.post(f"{url}review/")
    assert reviewed.data["reviewed_by"] == doctor.user.pk
    assert AuditLog.objects.filter(action="review", patient_id=patient.pk, outcome="allowed").exists()


def test_correcting_over_the_api_answers_the_new_version() -> None:
    result = make_lab_result()
    bench = client_for(make_user(role="lab_tech"))
    answer = bench.post(
        f"{RESULTS}{result.pk}/correct/", {"result_value": "5.9", "abnormal_flag": "high"}, format="json"
    )
    assert answer.status_code == 200, answer.data
    assert (answer.data["version"], answer.data["supersedes"], answer.data["status"]) == (2, result.pk, "corrected")
    assert answer.data["result_value"] == "5.9"
    again = bench.post(f"{RESULTS}{result.pk}/correct/", {"result_value": "6"}, format="json")
    assert again.status_code == 409


@pytest.mark.parametrize(
    ("role", "path"),
    [("nurse", "review"), ("lab_tech", "review"), ("patient", "cancel"), ("nurse", "start")],
)
def test_a_verb_of_an_order_is_refused_to_a_role_that_lacks_it(role: str, path: str) -> None:
    order = make_lab_order(status="completed")
    assert client_for(make_user(role=role)).post(f"{ORDERS}{order.pk}/{path}/").status_code == 403


@pytest.mark.parametrize("role", ["nurse", "patient"])
def test_only_laboratory_and_doctor_verify(role: str) -> None:
    result = make_lab_result()
    assert client_for(make_user(role=role)).post(f"{RESULTS}{result.pk}/verify/").status_code == 403


def test_a_doctor_cannot_order_for_a_stranger_nor_in_another_name() -> None:
    doctor, other, test = make_doctor(), make_doctor(), make_lab_test()
    own = make_lab_order(doctor=doctor).patient
    client = client_for(doctor.user)
    body = {"patient": str(make_patient().pk), "tests": [str(test.pk)]}
    assert client.post(ORDERS, body, format="json").status_code == 400
    body = {"patient": str(own.pk), "tests": [str(test.pk)], "doctor": str(other.pk)}
    assert client.post(ORDERS, body, format="json").status_code == 422


def write_order(**change: Any) -> Any:
    doctor = make_doctor()
    patient = make_lab_order(doctor=doctor).patient
    body = {"patient": str(patient.pk), "tests": [str(make_lab_test().pk)], **change}
    return client_for(doctor.user).post(ORDERS, body, format="json")


@pytest.mark.parametrize(
    "change", [{"diagnosis_code": "11.9"}, {"tests": []}, {"priority": "soon"}, {"prio": "stat"}, {"patient": "me"}]
)
def test_a_mistaken_order_is_refused_by_the_name_of_its_field(change: dict[str, Any]) -> None:
    answer = write_order(**change)
    assert answer.status_code == 400
    assert {error["field"] for error in answer.data["errors"]} == set(change)


def test_what_follows_from_the_way_of_an_order_cannot_be_written() -> None:
    answer = write_order(status="completed", is_external=True, order_number="LO1", reviewed_at="2026-01-01T00:00Z")
    assert answer.status_code == 201
    assert (answer.data["status"], answer.data["is_external"], answer.data["reviewed_at"]) == ("pending", False, None)
    assert answer.data["order_number"] != "LO1"


def test_the_lab_inbox_puts_a_message_back_in_line() -> None:
    message = make_inbound_message(status="worklist", work_state="done", status_reason="No patient.")
    answer = client_for(make_user(role="lab_tech")).post(f"{MESSAGES}{message.pk}/retry/")
    assert answer.status_code == 200, answer.data
    assert (answer.data["status"], answer.data["work_state"], answer.data["status_reason"]) == (
        "received",
        "waiting",
        "",
    )


@pytest.mark.parametrize(
    ("url", "query"),
    [
        (ORDERS, {"status": "completed"}),
        (ORDERS, {"priority": "stat"}),
        (ORDERS, {"reviewed": "false"}),
        (ORDERS, {"filler_order_number": "F1"}),
        (RESULTS, {"abnormal_flag": "high"}),
        (RESULTS, {"is_current": "true"}),
        (RESULTS, {"verified": "false", "status": "final"}),
        (MESSAGES, {"status": "worklist"}),
        (MESSAGES, {"conflict": "true"}),
        ("/api/v1/lab-tests/", {"search": "potas"}),
    ],
)
def test_filters_cut_the_list(url: str, query: dict[str, str]) -> None:
    patient = make_patient()
    services.file_report(make_inbound_message(), report_in(patient))
    LabOrder.objects.filter(patient=patient).update(priority="stat")
    make_lab_result(abnormal_flag="high")
    make_lab_order()
    superseded = make_lab_result()
    services.correct(superseded, by=make_user(role="lab_tech"), result_value="1")
    make_lab_result().verify(make_user(role="doctor"))
    done = make_lab_order(status="completed")
    done.review(make_user(role="doctor"))
    make_inbound_message(status="worklist", conflict=True)
    make_lab_test(test_name="Sodium")
    client = client_for(make_user(role="admin"))
    everything, some = (len(client.get(url, asked).data["results"]) for asked in ({}, query))
    assert 0 < some < everything
