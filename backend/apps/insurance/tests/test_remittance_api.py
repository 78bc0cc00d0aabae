"""The desk reads what was paid, finds claims for money without one, and follows a claim from file to payment."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from backend.apps.core.models import AuditLog
from backend.apps.insurance import timeline
from backend.apps.insurance.models import (
    AckEvent,
    InboundFile,
    InsuranceClaim,
    Posting,
    Remittance,
    RemittanceClaim,
    Stage,
)
from backend.apps.insurance.standing import OF_A_LINE
from backend.apps.insurance.tests.factories import make_claim, partner
from backend.apps.insurance.tests.remittance_factories import (
    make_inbound_file,
    make_posting,
    make_provider_adjustment,
    make_remittance,
    make_remittance_claim,
    make_sent_claim,
)
from backend.apps.insurance.tests.sent_claims import answered, moved, sent_file
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db


class TestInboundFiles(ApiContract):
    url = "/api/v1/inbound-files/"
    reader, stranger = "receptionist", "doctor"

    def make(self) -> InboundFile:
        return make_inbound_file()


class TestRemittances(ApiContract):
    url = "/api/v1/remittances/"
    reader, stranger = "receptionist", "nurse"

    def make(self) -> Remittance:
        return make_remittance()


class TestRemittanceClaims(ApiContract):
    url = "/api/v1/remittance-claims/"
    reader, stranger = "receptionist", "patient"

    def make(self) -> RemittanceClaim:
        return make_remittance_claim(claim=make_sent_claim())


class TestPostings(ApiContract):
    url = "/api/v1/postings/"
    reader, stranger = "receptionist", "patient"

    def make(self) -> Posting:
        return make_posting()


class TestProviderAdjustments(ApiContract):
    url = "/api/v1/provider-adjustments/"
    reader, stranger = "receptionist", "doctor"

    def make(self) -> Any:
        return make_provider_adjustment()


@pytest.fixture
def desk() -> APIClient:
    return client_for(make_user(role="receptionist"))


def test_only_the_administrator_fetches_the_bytes_of_a_file(desk: APIClient) -> None:
    file = make_inbound_file(content=b"ISA*SECRET~")
    assert desk.get(f"/api/v1/inbound-files/{file.pk}/download/").status_code == 403
    answer = client_for(make_user(role="admin")).get(f"/api/v1/inbound-files/{file.pk}/download/")
    assert (answer.status_code, answer.content) == (200, b"ISA*SECRET~")
    assert AuditLog.objects.filter(action="download", resource_id=str(file.pk), outcome="allowed").count() == 1


def test_a_file_put_aside_is_read_again_on_request(desk: APIClient) -> None:
    file = make_inbound_file(status="quarantined")
    assert desk.post(f"/api/v1/inbound-files/{file.pk}/retry/").status_code == 200
    file.refresh_from_db()
    assert file.work_state == "waiting"
    assert desk.post(f"/api/v1/inbound-files/{file.pk}/retry/").status_code == 422
    assert desk.post(f"/api/v1/inbound-files/{make_inbound_file().pk}/retry/").status_code == 422


def test_money_without_a_claim_is_posted_to_the_one_a_person_finds(desk: APIClient) -> None:
    claim, row = make_sent_claim(), make_remittance_claim()
    answer = desk.post(f"/api/v1/remittance-claims/{row.pk}/match/", {"claim": claim.pk}, format="json")
    assert (answer.status_code, answer.data["state"]) == (200, "posted")
    claim.refresh_from_db()
    row.remittance.refresh_from_db()
    assert (claim.status, claim.paid_amount, claim.patient_responsibility) == ("paid", Decimal(100), Decimal(20))
    assert row.remittance.status == "posted"
    assert {one.by.role for one in Posting.objects.filter(claim=claim) if one.by} == {"receptionist"}
    assert AckEvent.objects.get(claim=claim).was_applied
    again = desk.post(f"/api/v1/remittance-claims/{row.pk}/match/", {"claim": claim.pk}, format="json")
    assert again.status_code == 422


def test_a_match_the_ledger_cannot_take_is_refused_and_changes_nothing(desk: APIClient) -> None:
    draft, row = make_claim(), make_remittance_claim()
    answer = desk.post(f"/api/v1/remittance-claims/{row.pk}/match/", {"claim": draft.pk}, format="json")
    row.refresh_from_db()
    assert (answer.status_code, row.state, Posting.objects.count()) == (422, "unmatched", 0)


def test_what_is_settled_otherwise_is_put_aside_with_a_reason(desk: APIClient) -> None:
    row = make_remittance_claim()
    url = f"/api/v1/remittance-claims/{row.pk}/dismiss/"
    assert desk.post(url, {}, format="json").status_code == 400
    assert desk.post(url, {"reason": "Another practice's patient."}, format="json").status_code == 200
    row.refresh_from_db()
    row.remittance.refresh_from_db()
    assert (row.state, row.reason, row.remittance.status) == ("dismissed", "Another practice's patient.", "posted")


def test_a_remittance_that_was_not_posted_is_put_aside(desk: APIClient) -> None:
    row, posted = make_remittance(status="quarantined", problem="Does not balance"), make_remittance()
    reason = {"reason": "The payer sends it anew."}
    assert desk.post(f"/api/v1/remittances/{row.pk}/dismiss_whole/", reason, format="json").status_code == 200
    assert desk.post(f"/api/v1/remittances/{posted.pk}/dismiss_whole/", reason, format="json").status_code == 422
    row.refresh_from_db()
    assert row.status == "dismissed"


def test_claims_that_may_be_meant_are_those_of_the_member_or_of_day_and_charge(desk: APIClient) -> None:
    day = timezone.localdate() - timedelta(days=9)
    alike = make_sent_claim(service_date=day)
    InsuranceClaim.objects.filter(pk=alike.pk).update()
    other = make_sent_claim(service_date=day - timedelta(days=1))
    for claim, member in ((alike, "X1"), (other, "X2")):
        claim.patient_insurance.member_id = member
        claim.patient_insurance.save()
    row = make_remittance_claim(member_id="X2", service_on=day)
    found = desk.get(f"/api/v1/remittance-claims/{row.pk}/candidates/").data
    assert {one["id"] for one in found} == {str(alike.pk), str(other.pk)}


def test_a_payment_entered_by_hand_is_an_entry_of_the_ledger(desk: APIClient) -> None:
    claim = make_sent_claim()
    url = f"/api/v1/insurance-claims/{claim.pk}"
    desk.post(f"{url}/mark_as_paid/", {"amount": "80.00", "patient_responsibility": "20.00"}, format="json")
    desk.post(f"{url}/appeal/")
    desk.post(f"{url}/mark_as_paid/", {"amount": "90.00"}, format="json")
    claim.refresh_from_db()
    entries = Posting.objects.filter(claim=claim).order_by("posted_at", "id")
    found = [(one.kind, one.group, one.amount) for one in entries]
    assert found == [
        ("payment", "", Decimal(80)),
        ("patient", "PR", Decimal(20)),
        ("payment", "", Decimal(10)),
    ]
    assert claim.paid_amount == Decimal(90)
    assert all(one.by for one in entries)


def test_the_way_of_a_claim_is_told_from_its_file_to_its_payment(desk: APIClient) -> None:
    claim = make_claim()
    file = sent_file(partner(), claim)
    moved(claim, "paid", paid_amount=100, payment_date=timezone.localdate())
    answered(claim, Stage.INTERCHANGE, "A")
    answered(claim, Stage.SYNTAX, "A")
    answered(claim, Stage.CLEARINGHOUSE, "A1", details=["A1:20"])
    answered(claim, Stage.PAYER, "A2", was_applied=False)
    answered(claim, Stage.PAYMENT, "1", details=["CO-45"])
    told = desk.get(f"/api/v1/insurance-claims/{claim.pk}/timeline/").data
    assert told["status"] == "paid"
    kinds = [(one["kind"], one["code"]) for one in told["events"]]
    assert kinds[-5:] == [("TA1", "A"), ("999", "A"), ("277CA", "A1"), ("277CA", "A2"), ("835", "1")]
    assert sorted(kinds[:-5]) == [("837", "batched"), ("837", "queued"), ("837", "sent")]
    assert told["events"][-3]["sentence"] == "The clearinghouse has the claim."
    assert [one["counted"] for one in told["events"][-2:]] == [False, True]
    assert f"{file.interchange_number:09}" in " ".join(one["sentence"] for one in told["events"])
    assert AuditLog.objects.filter(action="timeline", resource_id=str(claim.pk)).count() == 1


def test_a_word_on_a_line_and_a_duplicate_number_are_told_as_what_they_are() -> None:
    claim = make_claim()
    sent_file(partner(), claim)
    answered(claim, Stage.INTERCHANGE, "R", details=["025"], was_applied=False)
    answered(claim, Stage.PAYER, "A8", details=[OF_A_LINE, "A8:562"], was_applied=False)
    assert [step.sentence for step in timeline.steps(claim)[-2:]] == [
        "The partner had a file of this number already.",
        "The payer refused a line of the claim: its parts do not fit together.",
    ]


@pytest.mark.parametrize("role", ["patient", "doctor", "nurse", "pharmacist"])
def test_the_way_of_a_claim_is_for_the_desk(role: str) -> None:
    claim = make_claim()
    assert client_for(make_user(role=role)).get(f"/api/v1/insurance-claims/{claim.pk}/timeline/").status_code == 403
