"""Proves billing over HTTP: which role reads and writes what, whose rows, and every verb with its refusals."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.models import AuditLog, Clinic
from backend.apps.insurance.models import InsuranceClaim, InsurancePlan, InsuranceProvider, PatientInsurance
from backend.apps.insurance.tests.factories import (
    billing_entity,
    line,
    make_claim,
    make_claim_in,
    make_patient_insurance,
    make_plan,
    make_provider,
)
from backend.apps.insurance.views import InsuranceClaimViewSet
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db
PROVIDERS, PLANS = "/api/v1/insurance-providers/", "/api/v1/insurance-plans/"
VERBS = sorted(
    one.__name__ for one in InsuranceClaimViewSet.get_extra_actions() if one.detail and "post" in one.mapping
)
COVERAGES, CLAIMS = "/api/v1/patient-insurances/", "/api/v1/insurance-claims/"


class TestProviders(ApiContract):
    url, reader, stranger = PROVIDERS, "receptionist", "lab_tech"

    def make(self) -> InsuranceProvider:
        return make_provider()


class TestPlans(ApiContract):
    url, reader, stranger = PLANS, "receptionist", "lab_tech"

    def make(self) -> InsurancePlan:
        return make_plan()


class TestCoverages(ApiContract):
    url, reader, stranger = COVERAGES, "receptionist", "lab_tech"

    def make(self) -> PatientInsurance:
        return make_patient_insurance()


class TestClaims(ApiContract):
    url, reader, stranger = CLAIMS, "receptionist", "lab_tech"

    def make(self) -> InsuranceClaim:
        return make_claim()


def desk() -> Any:
    return client_for(make_user("receptionist"))


@pytest.mark.parametrize(
    ("role", "reads"),
    [
        ("admin", {PROVIDERS, PLANS, COVERAGES, CLAIMS}),
        ("receptionist", {PROVIDERS, PLANS, COVERAGES, CLAIMS}),
        ("doctor", {PROVIDERS, PLANS, COVERAGES, CLAIMS}),
        ("nurse", {PROVIDERS, PLANS, COVERAGES, CLAIMS}),
        ("patient", {PROVIDERS, PLANS, COVERAGES, CLAIMS}),
        ("pharmacist", {PROVIDERS, PLANS, COVERAGES}),
        ("lab_tech", set()),
    ],
)
def test_each_role_reads_what_it_needs(role: str, reads: set[str]) -> None:
    api = client_for(make_user(role))
    for url in (PROVIDERS, PLANS, COVERAGES, CLAIMS):
        assert api.get(url).status_code == (200 if url in reads else 403), url


@pytest.mark.parametrize("role", ["doctor", "nurse", "patient", "pharmacist", "lab_tech"])
@pytest.mark.parametrize("action", ["create", "update", "partial_update", "destroy", *VERBS])
def test_only_the_front_desk_writes_claims(role: str, action: str) -> None:
    claim = make_claim()
    paths = {"create": ("post", ""), "update": ("put", "{}/"), "partial_update": ("patch", "{}/")}
    paths["destroy"] = ("delete", "{}/")
    method, path = paths.get(action, ("post", "{}/" + action + "/"))
    answer = getattr(client_for(make_user(role)), method)(CLAIMS + path.format(claim.pk), {})
    assert answer.status_code == 403
    assert InsuranceClaim.objects.get(pk=claim.pk).status == "draft"


@pytest.mark.parametrize("role", ["doctor", "nurse", "patient", "pharmacist", "lab_tech"])
def test_only_the_front_desk_writes_coverage(role: str) -> None:
    coverage, api = make_patient_insurance(), client_for(make_user(role))
    assert api.post(COVERAGES, {}).status_code == 403
    assert api.patch(f"{COVERAGES}{coverage.pk}/", {"member_id": "X"}).status_code == 403
    assert api.post(f"{COVERAGES}{coverage.pk}/verify/").status_code == 403
    assert api.delete(f"{COVERAGES}{coverage.pk}/").status_code == 403
    assert PatientInsurance.objects.get(pk=coverage.pk).member_id == "W123456789"


def test_a_patient_sees_the_own_coverage_and_claims_only() -> None:
    user = make_user("patient")
    mine = make_claim(patient_insurance=make_patient_insurance(patient=make_patient(user=user)))
    other, api = make_claim(), client_for(user)
    for url, own, foreign in (
        (COVERAGES, mine.patient_insurance_id, other.patient_insurance_id),
        (CLAIMS, mine.pk, other.pk),
    ):
        assert [row["id"] for row in api.get(url).data["results"]] == [str(own)]
        assert api.get(f"{url}{own}/").status_code == 200
        assert api.get(f"{url}{foreign}/").status_code == 404


def test_a_doctor_sees_the_own_patients_only() -> None:
    visit = make_appointment()
    mine, other = make_claim(patient_insurance=make_patient_insurance(patient=visit.patient)), make_claim()
    api = client_for(visit.doctor.user)
    assert [row["id"] for row in api.get(CLAIMS).data["results"]] == [str(mine.pk)]
    assert api.get(f"{CLAIMS}{other.pk}/").status_code == 404
    assert api.get(f"{COVERAGES}{other.patient_insurance_id}/").status_code == 404


def coverage_body(**over: Any) -> dict[str, Any]:
    return {
        "patient": str(make_patient().pk),
        "insurance_plan": str(make_plan().pk),
        "policy_number": "POL-7",
        "member_id": "W7",
        "effective_date": "2026-01-01",
        **over,
    }


def test_the_desk_records_and_verifies_a_coverage() -> None:
    api = desk()
    made = api.post(COVERAGES, coverage_body())
    assert made.status_code == 201, made.data
    assert (made.data["is_coverage_active"], made.data["needs_verification"]) == (True, True)
    verified = api.post(f"{COVERAGES}{made.data['id']}/verify/")
    assert verified.data["verification_status"] == "verified"
    assert verified.data["needs_verification"] is False
    row = AuditLog.objects.get(action="verify", resource_id=made.data["id"])
    assert str(row.patient_id) == str(made.data["patient"])
    failed = api.post(f"{COVERAGES}{made.data['id']}/verify/", {"passed": False})
    assert failed.data["verification_status"] == "failed"


def test_a_second_primary_coverage_is_400_with_a_sentence() -> None:
    held = make_patient_insurance()
    answer = desk().post(COVERAGES, coverage_body(patient=str(held.patient_id)))
    assert answer.status_code == 400
    assert "has this priority" in answer.data["errors"][0]["message"]


def test_a_dependants_coverage_names_the_holder() -> None:
    answer = desk().post(COVERAGES, coverage_body(policy_holder_relationship="child"))
    assert answer.status_code == 400
    assert "policy holder" in answer.data["errors"][0]["message"]


@pytest.mark.parametrize("name", ["member_id", "policy_number", "policy_holder_name"])
def test_membership_numbers_stand_in_no_url(name: str) -> None:
    assert desk().get(f"{COVERAGES}?{name}=W123456789").status_code == 400


def claim_body(coverage: PatientInsurance, **over: Any) -> dict[str, Any]:
    return {
        "patient_insurance": str(coverage.pk),
        "service_date": str(Clinic.today() - timedelta(days=1)),
        "diagnosis_codes": ["E11.9"],
        "procedure_codes": [line("80.00"), line("20.00")],
        **over,
    }


def test_the_desk_takes_a_claim_from_draft_to_paid() -> None:
    api, coverage = desk(), make_patient_insurance()
    billing_entity(is_default=True)
    visit = make_appointment(patient=coverage.patient)
    made = api.post(CLAIMS, claim_body(coverage, appointment=str(visit.pk)))
    assert made.status_code == 201, made.data
    assert (made.data["status"], made.data["billed_amount"]) == ("draft", "100.00")
    assert str(made.data["patient"]) == str(coverage.patient_id)
    url = f"{CLAIMS}{made.data['id']}/"
    assert api.post(f"{url}submit/").data["submission_date"] == str(Clinic.today())
    assert api.post(f"{url}submit/").status_code == 422
    assert api.post(f"{url}accept/", {"reference": "ICN1"}).data["insurance_reference_number"] == "ICN1"
    money = {"amount": "70.00", "reference": "EFT-1", "allowed": "90.00", "patient_responsibility": "20.00"}
    paid = api.post(f"{url}mark_as_paid/", money)
    assert (paid.data["status"], paid.data["paid_amount"]) == ("paid", "70.00")
    assert api.post(f"{url}mark_as_paid/", money).status_code == 422
    assert api.delete(url).status_code == 422


def test_a_claim_is_denied_appealed_and_corrected_over_http() -> None:
    api, denied, rejected = desk(), make_claim_in("submitted"), make_claim_in("pending")
    assert api.post(f"{CLAIMS}{denied.pk}/deny/", {}).status_code == 400
    assert api.post(f"{CLAIMS}{denied.pk}/deny/", {"reason": "CO-50"}).data["status"] == "denied"
    assert api.post(f"{CLAIMS}{denied.pk}/appeal/").data["status"] == "appealed"
    assert api.post(f"{CLAIMS}{rejected.pk}/reject/", {"reason": "A7"}).data["status"] == "rejected"
    assert api.post(f"{CLAIMS}{rejected.pk}/reopen/").data["status"] == "draft"
    assert api.post(f"{CLAIMS}{rejected.pk}/submit/").status_code == 200
    assert api.post(f"{CLAIMS}{rejected.pk}/mark_as_pending/").data["status"] == "pending"


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"diagnosis_codes": "E11.9"}, "diagnosis_codes"),
        ({"diagnosis_codes": {}}, "diagnosis_codes"),
        ({"diagnosis_codes": ["E11.9", "E11.9"]}, "diagnosis_codes"),
        ({"procedure_codes": [{"code": "x"}]}, "procedure_codes"),
        ({"procedure_codes": None}, "procedure_codes"),
        ({"procedure_codes": [line(diagnosis_pointers=[2])]}, "procedure_codes"),
        ({"service_date": "2100-01-01"}, "service_date"),
        ({"patient_insurance": "no"}, "patient_insurance"),
        ({"patient_insurance": None}, "patient_insurance"),
        ({"billed_amount": "1e300"}, "billed_amount"),
        ({"billed_amount": "NaN"}, "billed_amount"),
        ({"profit": 1}, "profit"),
    ],
)
def test_bad_input_is_400_and_names_the_field(over: dict[str, Any], field: str) -> None:
    answer = desk().post(CLAIMS, claim_body(make_patient_insurance(), **over))
    assert answer.status_code == 400, answer.data
    assert field in {error["field"] for error in answer.data["errors"]}
    assert InsuranceClaim.objects.count() == 0


@pytest.mark.parametrize(
    "body",
    [{}, {"amount": "-1"}, {"amount": "x"}, {"amount": "1", "allowed": "-1"}, {"amount": "1", "on": "x"}],
)
def test_a_payment_in_the_wrong_form_is_400(body: dict[str, Any]) -> None:
    claim = make_claim_in("accepted")
    assert desk().post(f"{CLAIMS}{claim.pk}/mark_as_paid/", body).status_code == 400
    assert InsuranceClaim.objects.get(pk=claim.pk).status == "accepted"


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("accept", {"reference": "ICN*1"}),
        ("deny", {"reason": "CO 50", "payer_claim_number": "\u00c9 1"}),
        ("mark_as_paid", {"amount": "1.00", "payer_claim_number": "A:1"}),
    ],
)
def test_a_payers_number_that_no_correction_could_name_is_refused(verb: str, body: dict[str, str]) -> None:
    claim = make_claim_in("submitted")
    answer = desk().post(f"{CLAIMS}{claim.pk}/{verb}/", body)
    assert (answer.status_code, InsuranceClaim.objects.get(pk=claim.pk).status) == (400, "submitted")


def test_a_payment_of_more_than_was_billed_is_422_with_a_sentence() -> None:
    claim = make_claim_in("accepted")
    answer = desk().post(f"{CLAIMS}{claim.pk}/mark_as_paid/", {"amount": "150.01"})
    assert answer.status_code == 422
    assert "more than the payer allows" in answer.data["detail"]


def test_a_visit_of_another_patient_is_400() -> None:
    body = claim_body(make_patient_insurance(), appointment=str(make_appointment().pk))
    answer = desk().post(CLAIMS, body)
    assert answer.status_code == 400
    assert answer.data["errors"][0]["field"] == "appointment"


def test_an_eob_is_added_to_a_paid_claim_and_content_is_not(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    claim, api = make_claim_in("paid"), desk()
    url = f"{CLAIMS}{claim.pk}/"
    added = api.patch(url, {"eob_document": SimpleUploadedFile("eob.pdf", b"%PDF-1.7")}, format="multipart")
    assert added.status_code == 200, added.data
    assert InsuranceClaim.objects.get(pk=claim.pk).eob_document.read() == b"%PDF-1.7"
    assert api.patch(url, {"diagnosis_codes": ["I10"]}).status_code == 422


def test_claims_are_filtered_by_state_day_and_payer() -> None:
    api, paid, draft = desk(), make_claim_in("paid"), make_claim()
    payer = paid.patient_insurance.insurance_plan.provider_id
    for query, ids in (
        ("status=paid", {paid.pk}),
        ("status__in=paid,draft", {paid.pk, draft.pk}),
        (f"patient_insurance__insurance_plan__provider={payer}", {paid.pk}),
        (f"patient_insurance__patient={draft.patient_insurance.patient_id}", {draft.pk}),
        (f"service_date__gte={Clinic.today()}", set()),
        (f"claim_number={draft.claim_number}", {draft.pk}),
        (f"search={draft.claim_number}", {draft.pk}),
    ):
        answer = api.get(f"{CLAIMS}?{query}")
        assert answer.status_code == 200, answer.data
        assert {row["id"] for row in answer.data["results"]} == {str(pk) for pk in ids}, query


def test_a_plan_needs_neither_number_nor_group() -> None:
    body = {"provider": str(make_provider().pk), "plan_name": "Gold", "plan_type": "hmo"}
    api = desk()
    for _ in range(2):
        answer = api.post(PLANS, body)
        assert answer.status_code == 201, answer.data


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [(make_plan, "in_network_coverage", "101"), (make_plan, "copay_specialist", "-1")],
)
def test_percent_and_money_have_bounds_over_http(make: Any, field: str, value: str) -> None:
    answer = desk().patch(f"{PLANS}{make().pk}/", {field: value})
    assert answer.status_code == 400
    assert answer.data["errors"][0]["field"] == field


@pytest.mark.parametrize("model", ["insuranceprovider", "insuranceplan", "patientinsurance", "insuranceclaim"])
def test_the_admin_lists_and_opens_every_model(client: Any, model: str) -> None:
    claim = make_claim()
    coverage = claim.patient_insurance
    rows = {"insuranceclaim": claim, "patientinsurance": coverage, "insuranceplan": coverage.insurance_plan}
    row = rows.get(model) or coverage.insurance_plan.provider
    client.force_login(make_user("receptionist"))
    assert client.get(f"/admin/insurance/{model}/").status_code == 200
    assert client.get(f"/admin/insurance/{model}/{row.pk}/change/").status_code == 200
    assert client.get(f"/admin/insurance/{model}/add/").status_code == 200
    client.force_login(make_user("lab_tech"))
    assert client.get(f"/admin/insurance/{model}/").status_code == 403
