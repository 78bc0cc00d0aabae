"""Others write, place, change and revoke orders of tests by FHIR under the rules that hold in the clinic."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.doctors.models import Doctor
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.interop.fhir.door import base
from backend.apps.interop.tests.fhir.writing import codes, get, post, put
from backend.apps.laboratory.models import LabOrder, LabOrderMessage, LabTest
from backend.apps.laboratory.tests.factories import make_lab_order, make_lab_test, make_order_feed
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.fhir.terms import ICD_10_CM, LOINC
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
POTASSIUM = {"coding": [{"system": LOINC, "code": "2823-3"}], "text": "Potassium"}


@pytest.fixture
def nurse() -> APIClient:
    make_lab_test(test_code="2823-3", code_system="loinc", test_name="Potassium")
    make_lab_test(test_code="NA-7", code_system="local", test_name="Sodium")
    return client_for(make_user(role="nurse"))


def order(**over: Any) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "priority": "stat",
        "code": POTASSIUM,
        "subject": {"reference": f"Patient/{make_patient().pk}"},
        "requester": {"reference": f"Practitioner/{make_doctor().pk}"},
        "reasonCode": [{"coding": [{"system": ICD_10_CM, "code": "E87.5"}]}, {"text": "Weak and pale"}],
        **over,
    }


def sent(client: APIClient, body: dict[str, Any], **over: Any) -> Any:
    return put(client, {**body, **over}, body["meta"]["versionId"])


def test_an_order_that_was_posted_is_placed_and_read_back_as_it_was_sent(nurse: APIClient) -> None:
    feed = make_order_feed()
    body = order(performer=[{"reference": f"Organization/{feed.pk}"}])
    lab = client_for(make_user(role="lab_tech"))
    answer = post(lab, body, "ServiceRequest")
    assert answer.status_code == 201, answer.content
    written = answer.json()
    assert {name: written[name] for name in body} == body
    row = LabOrder.objects.get(pk=written["id"])
    assert (row.status, row.priority, row.diagnosis_code) == ("ordered", "stat", "E87.5")
    assert (row.clinical_indication, row.feed, str(row.patient_id)) == (
        "Weak and pale", feed, body["subject"]["reference"].split("/")[1],
    )  # fmt: skip
    assert [test.test_name for test in row.tests.all()] == ["Potassium"]
    assert LabOrderMessage.objects.filter(lab_order=row).count() == 1


def test_an_order_of_several_tests_names_each(nurse: APIClient) -> None:
    sodium = {"coding": [{"system": f"{base()}/CodeSystem/tests", "code": "NA-7"}], "text": "Sodium"}
    body = order(code={"text": "Potassium, Sodium"}, orderDetail=[POTASSIUM, sodium], status="draft")
    answer = post(nurse, body, "ServiceRequest")
    assert answer.status_code == 201, answer.content
    written = answer.json()
    assert {name: written[name] for name in body} == body
    assert LabOrder.objects.get(pk=written["id"]).status == "pending"
    one = sent(nurse, {name: value for name, value in written.items() if name != "orderDetail"}, code=POTASSIUM)
    assert one.status_code == 200, one.content
    assert one.json()["code"] == POTASSIUM


def test_what_was_read_can_be_written_back_and_changes_nothing(nurse: APIClient) -> None:
    visit = make_appointment(status="completed")
    ahead = make_appointment()
    for status in LabOrder.Status.values:
        for at in (visit, ahead):
            why = {"cancellation_reason": "Not needed."} if status == "cancelled" else {}
            fields = {"patient": at.patient, "doctor": at.doctor, "appointment": at, "feed": make_order_feed()}
            row = make_lab_order(status=status, tests=[make_lab_test()], **fields, **why)
            answer = sent(nurse, get(nurse, "ServiceRequest", row.pk))
            assert answer.status_code == 200, (status, answer.content)
            before = (row.status, row.updated_at, row.appointment_id, row.feed_id)
            row.refresh_from_db()
            assert (row.status, row.updated_at, row.appointment_id, row.feed_id) == before


def test_a_draft_is_changed_placed_and_revoked(nurse: APIClient) -> None:
    draft = post(nurse, order(status="draft"), "ServiceRequest").json()
    placed = sent(nurse, draft, status="active", priority="routine", reasonCode=[{"text": "Cramps"}])
    assert placed.status_code == 200, placed.content
    row = LabOrder.objects.get(pk=draft["id"])
    assert (row.status, row.priority, row.diagnosis_code, row.clinical_indication) == (
        "ordered", "routine", "", "Cramps",
    )  # fmt: skip
    for note, code in (([], "required"), ([{"text": "x" * 301}], "too-long")):
        refused = sent(nurse, placed.json(), status="revoked", **({"note": note} if note else {}))
        assert (refused.status_code, codes(refused)) == (422, {(code, "ServiceRequest.note[0].text")})
    revoked = sent(nurse, placed.json(), status="revoked", note=[{"text": "Not needed."}])
    assert revoked.status_code == 200, revoked.content
    row.refresh_from_db()
    assert (row.status, row.cancellation_reason) == ("cancelled", "Not needed.")
    assert revoked.json()["note"] == [{"text": "Not needed."}]


def test_an_order_of_a_test_and_a_doctor_off_file_can_be_revoked_and_leaves_no_laboratory_silently(
    nurse: APIClient,
) -> None:
    test = make_lab_test()
    row = make_lab_order(status="ordered", tests=[test], feed=make_order_feed())
    for gone in (LabTest.objects.filter(pk=test.pk), Doctor.objects.filter(pk=row.doctor_id)):
        gone.update(is_deleted=True, deleted_at=timezone.now())
    body = get(nurse, "ServiceRequest", row.pk)
    silent = sent(nurse, {name: value for name, value in body.items() if name != "performer"})
    assert (silent.status_code, codes(silent)) == (422, {("required", "ServiceRequest.performer[0]")})
    answer = sent(nurse, body, status="revoked", note=[{"text": "Not needed."}])
    assert answer.status_code == 200, answer.content
    row.refresh_from_db()
    assert (row.status, row.feed_id is None) == ("cancelled", False)


def test_the_words_of_a_test_need_not_be_said_and_say_nothing_else(nurse: APIClient) -> None:
    row = make_lab_order(status="in_progress", tests=list(LabTest.objects.order_by("test_name")))
    body = get(nurse, "ServiceRequest", row.pk)
    bare = [{"coding": detail["coding"]} for detail in reversed(body["orderDetail"])]
    answer = sent(nurse, body, orderDetail=bare)
    assert (answer.status_code, answer.json()) == (200, body)
    for over, path in (
        ({"orderDetail": [{**bare[0], "text": "Calcium"}, bare[1]]}, "ServiceRequest.orderDetail[0].text"),
        ({"code": {"text": "Calcium"}}, "ServiceRequest.code"),
    ):
        refused = sent(nurse, body, **over)
        assert (refused.status_code, codes(refused)) == (422, {("not-supported", path)})


def test_what_breaks_a_rule_is_told_and_nothing_is_ordered(nurse: APIClient) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"status": "completed"}, "business-rule"),
        ({"intent": "plan"}, "not-supported"),
        ({"priority": "asap"}, "not-supported"),
        ({"doNotPerform": True}, "not-supported"),
        ({"code": {"coding": [{"system": LOINC, "code": "9999-9"}]}}, "not-found"),
        ({"code": {**POTASSIUM, "text": "Potassium, only if fasting"}}, "not-supported"),
        ({"code": {"text": "Potassium"}}, "code-invalid"),
        ({"reasonCode": [{"coding": [{"system": ICD_10_CM, "code": "nonsense"}]}]}, "value"),
        ({"reasonCode": [{"coding": [{"system": "http://snomed.info/sct", "code": "1"}]}]}, "not-supported"),
        ({"subject": {"reference": "Patient/0199aaaa-0000-7000-8000-000000000000"}}, "not-found"),
        ({"encounter": {"reference": f"Encounter/{make_appointment().pk}"}}, "not-found"),
        ({"identifier": [{"value": "7"}]}, "not-supported"),
        ({"code": {"text": "Potassium, Potassium"}, "orderDetail": [POTASSIUM, POTASSIUM]}, "duplicate"),
        ({"note": [{"text": "Call me"}]}, "not-supported"),
        ({"occurrenceDateTime": "2026-12-01"}, "not-supported"),
    ]
    for over, code in refused:
        answer = post(nurse, order(**over), "ServiceRequest")
        assert (answer.status_code, code in {found for found, _ in codes(answer)}) == (422, True), over
    assert not LabOrder.objects.exists()


def test_an_order_the_laboratory_works_on_is_not_changed(nurse: APIClient) -> None:
    row = make_lab_order(status="in_progress")
    body = get(nurse, "ServiceRequest", row.pk)
    assert sent(nurse, body, priority="stat").status_code == 422
    assert sent(nurse, body, status="completed").status_code == 403
    external = make_lab_order(is_external=True, doctor=None)
    assert sent(nurse, get(nurse, "ServiceRequest", external.pk)).status_code == 422


def test_who_orders_no_tests_orders_none_here(nurse: APIClient) -> None:
    assert post(client_for(make_user(role="receptionist")), order(), "ServiceRequest").status_code == 403
    doctor = make_doctor()
    answer = post(client_for(doctor.user), order(), "ServiceRequest")
    assert (answer.status_code, {code for code, _ in codes(answer)}) == (422, {"not-found"})
