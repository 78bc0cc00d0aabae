"""Holds the resources of questions to payers and of deposits to the contract of every resource."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from backend.apps.insurance.models import Deposit, EligibilityInquiry, StatusInquiry
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance, route
from backend.apps.insurance.tests.inquiry_factories import (
    make_deposit,
    make_eligibility_inquiry,
    make_remittance,
    make_status_inquiry,
)
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for


class TestEligibilityInquiries(ApiContract):
    url = "/api/v1/eligibility-inquiries/"
    stranger = "nurse"

    def make(self) -> Any:
        return make_eligibility_inquiry()


class TestStatusInquiries(ApiContract):
    url = "/api/v1/status-inquiries/"
    stranger = "nurse"

    def make(self) -> Any:
        return make_status_inquiry()


class TestDeposits(ApiContract):
    url = "/api/v1/deposits/"
    stranger = "nurse"

    def make(self) -> Any:
        return make_deposit()


@pytest.fixture
def desk() -> APIClient:
    return client_for(make_user(role="receptionist"))


@pytest.mark.django_db
def test_the_desk_asks_about_one_coverage_and_about_many(desk: APIClient) -> None:
    good, bad = make_patient_insurance(), make_patient_insurance()
    route(provider=good.insurance_plan.provider, answers_eligibility=True)
    assert desk.post(f"/api/v1/patient-insurances/{good.pk}/check_eligibility/").status_code == 200
    assert desk.post(f"/api/v1/patient-insurances/{bad.pk}/check_eligibility/").status_code == 422
    body = {"coverages": [str(good.pk), str(bad.pk)]}
    told = desk.post("/api/v1/eligibility-inquiries/ask_each/", body, format="json").data
    assert [one["outcome"] for one in told] == ["asked", "refused"]
    made = desk.post("/api/v1/eligibility-inquiries/", {"coverage": str(good.pk)}, format="json")
    assert (made.status_code, made.data["status"]) == (201, "queued")
    assert EligibilityInquiry.objects.count() == 1


@pytest.mark.django_db
def test_the_desk_reads_an_answer_and_its_benefits_in_words(desk: APIClient) -> None:
    benefits = [
        {"code": "1", "level": "IND", "types": ["30"]},
        {"code": "B", "types": ["98"], "period": "27", "amount": "25", "in_network": "Y"},
        {"code": "C", "level": "FAM", "types": ["30"], "period": "29", "amount": "1450.5"},
        {"code": "A", "types": ["UC"], "percent": "0.2", "authorization": "Y"},
    ]
    row = make_eligibility_inquiry(status="answered", is_active=True, benefits=benefits)
    told = desk.get(f"/api/v1/eligibility-inquiries/{row.pk}/").data
    assert told["answer"] == f"The plan holds on {row.service_on}."
    assert told["summary"] == [
        "Co-payment, office visit: $25.00 a visit, in network.",
        "Deductible: $1,450.50 remaining, for the family.",
        "Co-insurance, urgent care: 20%, needs an authorization.",
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status": "queued"}, "has not answered yet"),
        ({"status": "answered", "is_active": False}, "does not hold on"),
        ({"status": "answered"}, "does not say"),
        ({"status": "rejected", "is_active": False, "codes": ["AAA:subscriber:72:C"]}, "compare it with the card"),
        ({"status": "rejected", "codes": ["changed", "AAA:source:42:R"]}, "asked again"),
        ({"status": "rejected", "codes": ["AAA:source:99:N"]}, "ask it by phone"),
        ({"status": "rejected", "codes": ["not written: NM1*IL NM109: 0 characters"]}, "could not be written"),
        ({"status": "rejected", "codes": ["TA1:R:024"]}, "turned back"),
        ({"status": "expired", "codes": ["changed"]}, "changed meanwhile"),
        ({"status": "expired"}, "did not answer"),
    ],
)
def test_each_end_of_a_question_has_a_sentence(desk: APIClient, fields: dict[str, Any], says: str) -> None:
    row = make_eligibility_inquiry(**fields)
    told = desk.get(f"/api/v1/eligibility-inquiries/{row.pk}/").data
    assert says in told["answer"]
    assert [one["code"] for one in told["reasons"]] == row.codes


@pytest.mark.django_db
def test_a_coverage_that_is_not_there_is_asked_about_by_nobody(desk: APIClient) -> None:
    body = {"coverages": ["00000000-0000-7000-8000-000000000000"]}
    assert desk.post("/api/v1/eligibility-inquiries/ask_each/", body, format="json").status_code == 400


@pytest.mark.django_db
def test_the_desk_asks_what_became_of_a_claim(desk: APIClient) -> None:
    claim = make_claim(status="accepted", control_number="ABC123")
    url = f"/api/v1/insurance-claims/{claim.pk}/ask_status/"
    assert desk.post(url).status_code == 422
    route(provider=claim.patient_insurance.insurance_plan.provider, answers_status=True)
    assert desk.post(url).status_code == 200
    assert desk.post(url).status_code == 200
    assert StatusInquiry.objects.get().claim == claim


@pytest.mark.django_db
def test_a_file_of_deposits_answers_row_by_row(desk: APIClient) -> None:
    remittance = make_remittance(trace="EFT77")
    csv = "trace,amount,received_on\nEFT77,100.00,{0}\nEFT78,x,{0}\n".format(remittance.paid_on)  # noqa: UP032  # twice
    told = desk.post("/api/v1/deposits/bring_in/", {"csv": csv}, format="json")
    assert [row["outcome"] for row in told.data] == ["added", "refused"]
    assert Deposit.objects.get().remittance == remittance
    assert desk.get("/api/v1/deposits/?matched=false").data["results"] == []
    other = make_remittance()
    missing = desk.get("/api/v1/deposits/missing/").data["results"]
    assert [row["id"] for row in missing] == [str(other.pk)]


@pytest.mark.django_db
def test_a_deposit_that_was_entered_wrongly_frees_its_remittance(desk: APIClient) -> None:
    remittance = make_remittance()
    deposit = make_deposit(remittance=remittance)
    assert desk.delete(f"/api/v1/deposits/{deposit.pk}/").status_code == 204
    again = make_deposit(amount=remittance.amount)
    answer = desk.post(f"/api/v1/deposits/{again.pk}/match/", {"remittance": str(remittance.pk)}, format="json")
    assert (answer.status_code, answer.data["remittance"]) == (200, remittance.pk)
