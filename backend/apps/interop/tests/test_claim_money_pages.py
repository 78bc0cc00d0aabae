"""Proves that payments, deposits and refusals that a machine could not settle are shown and settled by people."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.core.models import AuditLog
from backend.apps.core.models import Clinic as Practice
from backend.apps.insurance.models import (
    Deposit,
    InsuranceClaim,
    Posting,
    Stage,
)
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance, make_plan, partner
from backend.apps.insurance.tests.sent_claims import (
    answered,
    moved,
    queued,
    remittance,
    sent_file,
    told_claim,
)
from backend.apps.interop import claim_money, claim_work
from backend.apps.interop.tests.billing_pages import (
    CLAIMS,
    DEPOSITS,
    PAYMENTS,
    UNPLACED,
    WORK,
    page,
    rows,
    said,
)
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
CONTENT = {"segment": 1, "adjustments": [], "remarks": [], "lines": []}  # of a claim of an 835


def test_a_payment_shows_the_equation_that_fails() -> None:
    client, north = signed_in("receptionist"), partner()
    bad = remittance(north, status="quarantined", problem="the claims less the adjustments are not the payment")
    remittance(north)
    assert "<b>1</b> quarantined" in page(client, PAYMENTS)
    assert rows(page(client, PAYMENTS, status="quarantined")).count("from EXAMPLE HEALTH") == 1
    told = page(client, f"{PAYMENTS}{bad.pk}/")
    assert "the claims less the adjustments are not the payment" in told
    assert "it is never forced to fit" in told


def test_a_claim_nobody_could_place_stands_beside_those_it_may_be_about() -> None:
    client, north = signed_in("receptionist"), partner()
    ours = moved(make_claim(), "accepted")
    other = moved(make_claim(patient_insurance=make_patient_insurance(member_id="W9")), "accepted")
    lost = told_claim(
        remittance(north, status="partly"),
        None,
        member_id=ours.patient_insurance.member_id,
        service_on=ours.service_date,
    )
    assert f"claims/{lost.pk}/" in page(client, UNPLACED)
    told = page(client, f"{PAYMENTS}claims/{lost.pk}/")
    assert ours.claim_number in told
    assert other.claim_number in told  # of the same day and charge
    noted = AuditLog.objects.get(action="console.retrieve", resource_id=str(lost.pk))
    assert set(noted.detail["ids"]) == {str(ours.pk), str(other.pk)}


def test_a_deposit_is_matched_to_the_payment_of_its_amount_and_taken_back() -> None:
    client, payment = signed_in("receptionist"), remittance(partner())
    row = Deposit.objects.create(trace="OTHER", amount=Decimal(100), received_on=Practice.today())
    assert "payments" in page(client, DEPOSITS)
    assert "Matched." in said(client, f"{DEPOSITS}{row.pk}/match/", remittance=str(payment.pk))
    row.refresh_from_db()
    assert row.remittance_id == payment.pk
    assert "Every deposit is matched." in page(client, DEPOSITS)
    assert "the bank has it since" in page(client, PAYMENTS)
    assert "taken back" in said(client, f"{DEPOSITS}{row.pk}/unmatch/")
    row.refresh_from_db()
    assert row.remittance_id is None


def test_a_deposit_is_entered_by_hand_and_finds_its_payment() -> None:
    client, payment = signed_in("receptionist"), remittance(partner(), trace="EFT-77")
    day = f"{Practice.today():%Y-%m-%d}"
    url = f"{DEPOSITS}new/"
    assert "matched to its payment" in said(client, url, trace="00EFT77", amount="100.00", received_on=day)
    assert Deposit.objects.get().remittance_id == payment.pk
    told = said(client, url, trace="X", amount="a lot", received_on=day)
    assert 'class="error"' in told
    assert Deposit.objects.count() == 1


def test_the_file_of_a_bank_is_brought_in_and_what_is_refused_of_it_is_told_row_by_row() -> None:
    client, payment = signed_in("receptionist"), remittance(partner(), trace="EFT-78")
    day, url = f"{Practice.today():%Y-%m-%d}", f"{DEPOSITS}file/"
    good = f"trace,amount,received_on\nEFT78,100.00,{day}\n"
    told = said(client, url, file=SimpleUploadedFile("bank.csv", good.encode()))
    assert "1 entered, 0 known already, 0 refused." in told
    assert Deposit.objects.get().remittance_id == payment.pk
    told = said(client, url, file=SimpleUploadedFile("bank.csv", f"{good}OTHER,a lot,{day}\n".encode()))
    assert "0 entered, 1 known already, 1 refused." in told
    assert "Row 3: The amount is not a number" in told
    for wrong in (b"\xff\xfe\x00", b"a,b\n1,2\n"):
        assert 'class="error"' in said(client, url, file=SimpleUploadedFile("bank.csv", wrong))
    assert "Choose the file" in said(client, url)
    assert Deposit.objects.count() == 1
    assert signed_in("doctor").post(url).status_code == 403


def test_a_long_list_is_worked_down_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    client, payment = signed_in("receptionist"), remittance(partner(), status="partly")
    lost = [told_claim(payment, None, content=CONTENT) for _ in range(3)]
    monkeypatch.setattr(claim_money, "MOST_ROWS", 2)
    first, second = page(client, UNPLACED), page(client, UNPLACED, part="2")
    assert [f"claims/{row.pk}/" in first for row in lost] == [True, True, False]
    assert [f"claims/{row.pk}/" in second for row in lost] == [False, False, True]
    assert 'href="?part=2">The next ones' in first
    assert 'href="?part=1">The ones before' in second
    assert "These are 1 to 2 of 3." in page(client, f"{PAYMENTS}{payment.pk}/")
    assert f"claims/{lost[0].pk}/" in page(client, UNPLACED, part="-1")
    monkeypatch.setattr(claim_work, "MOST_ROWS", 1)
    refused = [denied(), denied()]
    told = [rows(page(client, f"{WORK}denied/", group="bundled", part=part)) for part in ("1", "2")]
    assert [[each.claim_number in text for each in refused] for text in told] == [[True, False], [False, True]]
    assert "group=bundled&amp;part=2" in told[0]


def denied(amount: str = "80.00", reason: str = "97") -> InsuranceClaim:
    claim, north = moved(make_claim(), "denied"), partner()
    told = told_claim(remittance(north, amount="0.00"), claim)
    Posting.objects.create(
        claim=claim, remittance_claim=told, kind="contractual", group="CO", reason=reason, amount=Decimal(amount)
    )
    return claim


def test_denials_are_grouped_by_what_to_do_next_and_closed_with_a_reason() -> None:
    client, first, second = signed_in("receptionist"), denied(), denied(reason="29")
    told = page(client, f"{WORK}denied/")
    assert "CO 97" in told
    assert "Appeal with the proof of filing, if there is one." in told
    assert first.claim_number in rows(page(client, f"{WORK}denied/", group="bundled"))
    assert second.claim_number not in rows(page(client, f"{WORK}denied/", group="bundled"))
    assert "Closed." in said(client, f"{CLAIMS}{first.pk}/close/", reason="Written off")
    first.refresh_from_db()
    assert first.denial_closed_as == "Written off"
    assert first.claim_number not in page(client, f"{WORK}denied/")


def test_the_worklists_hold_what_is_rejected_running_out_silent_and_never_sent() -> None:
    client, north = signed_in("receptionist"), partner(remittance_days=30)
    today = Practice.today()
    rejected = moved(make_claim(), "rejected")
    plan = make_plan(timely_filing_days=10)
    hurried = make_claim(
        patient_insurance=make_patient_insurance(insurance_plan=plan), service_date=today - timedelta(8)
    )
    silent = make_claim(service_date=today - timedelta(90))
    sent_file(north, silent, state="accepted")
    moved(silent, "accepted", submission_date=today - timedelta(80), response_date=today - timedelta(70))
    forgotten = make_claim()
    InsuranceClaim.objects.filter(pk=forgotten.pk).update(created_at=timezone.now() - timedelta(days=9))
    back = make_claim()
    queued(north, back, status="withdrawn", status_reason="billing.npi: The NPI of who bills is missing.")
    expected = {"rejected": rejected, "filing": hurried, "silent": silent, "unbilled": forgotten, "returned": back}
    for name, claim in expected.items():
        told = page(client, f"{WORK}{name}/")
        found = [key for key, each in expected.items() if each.claim_number in rows(told)]
        assert found == [name]
        assert claim.claim_number in told
    assert "The NPI of who bills is missing." in page(client, f"{WORK}returned/")
    assert "2 days left" in page(client, f"{WORK}filing/")
    assert "accepted, and no payment since" in page(client, f"{WORK}silent/")
    moved(silent, "submitted", response_date=None)
    assert "neither accepted nor rejected since" in page(client, f"{WORK}silent/")
    assert client.get(f"{WORK}nothing/").status_code == 404


def test_a_worklist_costs_the_same_for_many() -> None:
    client = signed_in("receptionist")
    denied()
    page(client, f"{WORK}denied/")
    with CaptureQueriesContext(connection) as few:
        page(client, f"{WORK}denied/")
    for _ in range(4):
        denied()
    with CaptureQueriesContext(connection) as many:
        page(client, f"{WORK}denied/")
    assert len(many) == len(few) <= 24


def test_the_proof_of_filing_names_both_files_by_their_digests() -> None:
    client, claim = signed_in("receptionist"), moved(make_claim(), "accepted")
    url = f"{CLAIMS}{claim.pk}/proof/"
    assert "there is no proof of filing" in page(client, url)
    file = sent_file(partner(), claim, state="accepted")
    event = answered(claim, Stage.PAYER, "A2")
    told = page(client, url)
    assert file.sha256 in told
    assert event.file_sha256 in told


def test_a_claim_nobody_could_place_is_posted_to_the_one_a_person_chooses() -> None:
    client, north = signed_in("receptionist"), partner()
    ours = moved(make_claim(), "accepted", submission_date=Practice.today())
    sent_file(north, ours, state="accepted")
    row = told_claim(remittance(north, status="partly"), None, service_on=ours.service_date, content=CONTENT)
    url = f"{PAYMENTS}claims/{row.pk}/match/"
    assert "The ledger only grows" in said(client, url, claim=str(ours.pk))
    assert not Posting.objects.exists()
    told = said(client, url, claim=str(ours.pk), confirmed="1")
    assert "Posted to this claim." in told
    ours.refresh_from_db()
    assert (ours.status, ours.paid_amount) == ("paid", Decimal("100.00"))
    row.refresh_from_db()
    assert (row.state, row.remittance.status) == ("posted", "posted")
    assert "settled already" in said(client, url, claim=str(ours.pk), confirmed="1")


def test_a_claim_that_was_blocked_is_posted_once_what_kept_it_back_is_put_right() -> None:
    client, north = signed_in("receptionist"), partner()
    ours = make_claim()
    sent_file(north, ours, state="accepted")
    reason = "Our claim is a draft: it was never sent, or is being corrected."
    row = told_claim(remittance(north, status="partly"), ours, state="blocked", reason=reason, content=CONTENT)
    url = f"{PAYMENTS}claims/{row.pk}/"
    assert "Post it now" in page(client, url)
    assert reason in said(client, f"{url}match/", claim=str(ours.pk), confirmed="1")
    moved(ours, "accepted")
    assert "Posted to this claim." in said(client, f"{url}match/", claim=str(ours.pk), confirmed="1")
    ours.refresh_from_db()
    assert (ours.status, ours.paid_amount) == ("paid", Decimal("100.00"))
    assert "Post it now" not in page(client, url)


def test_what_is_none_of_ours_is_put_aside_with_a_reason() -> None:
    client, north = signed_in("receptionist"), partner()
    row = told_claim(remittance(north, status="partly"), None, content=CONTENT)
    url = f"{PAYMENTS}claims/{row.pk}/dismiss/"
    assert "Say why." in said(client, url)
    assert "cannot be taken up again" in said(client, url, reason="Another clinic's")
    row.refresh_from_db()
    assert row.state == "unmatched"
    assert "Put aside." in said(client, url, reason="Another clinic's", confirmed="1")
    row.refresh_from_db()
    assert (row.state, row.reason) == ("dismissed", "Another clinic's")
    bad = remittance(north, status="quarantined", problem="the sums differ")
    assert "cannot be taken up again" in said(client, f"{PAYMENTS}{bad.pk}/dismiss/", reason="A right one came")
    assert "Put aside." in said(client, f"{PAYMENTS}{bad.pk}/dismiss/", reason="A right one came", confirmed="1")
    bad.refresh_from_db()
    assert bad.status == "dismissed"
