"""Proves that a biller sees where each claim stands and what to do next, and acts by forms that say how it ended."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.core.models import AuditLog
from backend.apps.core.models import Clinic as Practice
from backend.apps.core.roles import STAFF
from backend.apps.insurance.models import (
    Deposit,
    InboundFile,
    InsuranceClaim,
    Interchange,
    Posting,
    RemittanceClaim,
    Stage,
    Submission,
)
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance, make_plan, partner, ready_claim
from backend.apps.insurance.tests.sent_claims import (
    answered,
    inbound_file,
    moved,
    paid,
    queued,
    remittance,
    sent_file,
    told_claim,
)
from backend.apps.patients.tests.factories import make_patient
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
CLAIMS = "/console/claims/"
FILES, INBOUND = f"{CLAIMS}files/", f"{CLAIMS}files/inbound/"
PAYMENTS, UNPLACED, DEPOSITS = f"{CLAIMS}payments/", f"{CLAIMS}payments/unplaced/", f"{CLAIMS}payments/deposits/"
WORK = f"{CLAIMS}work/"
DESK = {"admin", "receptionist"}
CONTENT = {"segment": 1, "adjustments": [], "remarks": [], "lines": []}  # of a claim of an 835


def page(client: Client, url: str, **query: str) -> str:
    answer = client.get(url, query)
    assert answer.status_code == 200, (url, answer.status_code)
    return " ".join(answer.content.decode().split())


def said(client: Client, url: str, **form: Any) -> str:
    """Post a form and return the text of the page it leads to."""
    answer = client.post(url, form, follow=True)
    assert answer.status_code == 200, (url, answer.status_code)
    return " ".join(answer.content.decode().split())


def rows(told: str) -> str:
    return told.split('class="list"', 1)[1] if 'class="list"' in told else ""


def one_in_each_state() -> dict[str, InsuranceClaim]:
    """Save one claim in each state of the board, all at one partner but for the draft."""
    north, coverage = partner(name="North"), make_patient_insurance(patient=make_patient(last_name="Zqfamily"))
    keys = ("draft", "queued", "batched", "submitted", "pending", "accepted", "rejected", "denied", "appealed", "paid")
    claims = {key: make_claim(patient_insurance=coverage) for key in keys}
    queued(north, claims["queued"])
    sent_file(north, claims["batched"], state="batched")
    states = {"submitted": "sent", "pending": "pending", "accepted": "accepted", "rejected": "rejected"}
    for key in keys[3:]:
        sent_file(north, claims[key], state=states.get(key, "adjudicated"))
        if key != "paid":
            moved(claims[key], key)
    paid(claims["paid"], remittance(north))
    return claims


def test_the_board_counts_claims_by_state_and_leads_from_each_number_to_its_rows() -> None:
    claims, client = one_in_each_state(), signed_in("receptionist")
    told = page(client, CLAIMS)
    for key, word in (("draft", "drafts"), ("batched", "in a file"), ("submitted", "sent, silent"), ("paid", "paid")):
        assert f"<b>1</b> {word}" in told
        narrowed = rows(page(client, CLAIMS, state=key))
        assert [each for each, claim in claims.items() if claim.claim_number in narrowed] == [key]
    assert "1 queued" in told.split('id="partners"')[1]
    assert "Zqfamily" in told
    noted = AuditLog.objects.filter(action="console.list").first()
    assert noted is not None
    assert str(claims["paid"].pk) in AuditLog.objects.filter(action="console.list").earliest("pk").detail["ids"]


def test_each_row_says_what_to_do_next() -> None:
    claims, client = one_in_each_state(), signed_in("receptionist")
    told = page(client, CLAIMS)
    for sentence in (
        "Check it, put right what is found, and submit it.",
        "Withdraw it to change it.",
        "It was turned back unjudged: reopen it",
        "appeal, correct it, or close the denial",
        "The payer decides on it.",
    ):
        assert sentence in told
    moved(claims["submitted"], "submitted")
    Submission.objects.filter(claim=claims["submitted"]).delete()
    assert "It went out on paper or by a portal" in page(client, CLAIMS, state="submitted")


def test_a_claim_behind_a_paused_partner_says_what_it_waits_for() -> None:
    client, claim = signed_in("receptionist"), make_claim()
    queued(partner(paused_at=timezone.now(), pause_reason="New host key"), claim)
    assert "It waits until somebody resumes the partner." in page(client, CLAIMS)
    assert "It waits until somebody resumes the partner." in page(client, f"{CLAIMS}{claim.pk}/")


def test_the_board_is_narrowed_by_partner_and_payer_and_ignores_nonsense() -> None:
    claims, client = one_in_each_state(), signed_in("receptionist")
    other = queued(
        partner(name="South"), make_claim(patient_insurance=make_patient_insurance(insurance_plan=make_plan()))
    )
    told = rows(page(client, CLAIMS, partner=str(other.partner_id)))
    assert other.claim.claim_number in told
    assert claims["paid"].claim_number not in told
    payer = claims["paid"].patient_insurance.insurance_plan.provider_id
    told = rows(page(client, CLAIMS, payer=str(payer)))
    assert other.claim.claim_number not in told
    assert claims["draft"].claim_number in told
    for nonsense in ({"state": "x"}, {"partner": "x"}, {"payer": "'"}, {"older": str(other.claim_id)}):
        assert client.get(CLAIMS, nonsense).status_code == 200
    assert client.get(CLAIMS, {"older": "x"}).status_code == 404


def test_the_board_costs_the_same_for_many_claims_and_cuts_them_into_pages() -> None:
    client, north = signed_in("receptionist"), partner()
    queued(north, make_claim())
    page(client, CLAIMS)
    with CaptureQueriesContext(connection) as few:
        page(client, CLAIMS)
    coverage = make_patient_insurance()
    sent_file(north, *(moved(make_claim(patient_insurance=coverage), "submitted") for _ in range(54)))
    with CaptureQueriesContext(connection) as many:
        told = page(client, CLAIMS)
    assert len(many) == len(few) <= 24
    assert told.count('name="claim"') == 50
    older = told.split('class="pages"')[1].split('href="?')[1].split('"')[0].replace("&amp;", "&")
    assert page(client, f"{CLAIMS}?{older}").count('name="claim"') == 5


def urls_of(claim: InsuranceClaim, told: RemittanceClaim) -> list[str]:
    one = [f"{CLAIMS}{claim.pk}/", f"{CLAIMS}{claim.pk}/proof/"]
    payment = [f"{PAYMENTS}{told.remittance_id}/", f"{PAYMENTS}claims/{told.pk}/"]
    lists = [f"{WORK}{name}/" for name in ("returned", "rejected", "denied", "filing", "silent", "unbilled")]
    return [CLAIMS, FILES, INBOUND, PAYMENTS, UNPLACED, DEPOSITS, WORK, *one, *payment, *lists]


@pytest.mark.parametrize("role", sorted(STAFF))
def test_billing_is_for_the_desk_and_nobody_else(role: str) -> None:
    north, claim = partner(), make_claim()
    file = sent_file(north, claim, state="batched", status="in_doubt")
    told, client = told_claim(remittance(north), None), signed_in(role)
    for url in urls_of(claim, told):
        assert client.get(url).status_code == (200 if role in DESK else 403), url
    for url in (f"{CLAIMS}{claim.pk}/submit/", f"{FILES}{file.pk}/mark_received/", f"{CLAIMS}{claim.pk}/close/"):
        assert (client.post(url, {"reason": "x"}).status_code == 403) == (role not in DESK), url
    assert ("Claims</a>" in client.get("/console/").content.decode()) == (role in DESK)


def test_no_address_of_these_pages_tells_anything_of_a_patient() -> None:
    claims, client = one_in_each_state(), signed_in("receptionist")
    told = told_claim(remittance(partner(), amount="0.00"), None)
    patient = claims["paid"].patient_insurance.patient
    secrets = (patient.last_name, patient.medical_record_number, claims["paid"].patient_insurance.member_id)
    for url in urls_of(claims["paid"], told):
        for address in re.findall(r'(?:href|action)="([^"]*)"', page(client, url)):
            assert not [each for each in secrets if each in address], (url, address)


def test_the_page_of_a_claim_shows_its_lines_story_and_ledger() -> None:
    claims, client = one_in_each_state(), signed_in("receptionist")
    claim = claims["paid"]
    answered(claim, Stage.SYNTAX, "A")
    answered(claim, Stage.PAYER, "A2", payer_claim_number="ICN1")
    told = page(client, f"{CLAIMS}{claim.pk}/")
    for part in ("99213", "36415", "E11.9", "billed <b>150.00</b>", "paid <b>100.00</b>", claim.control_number):
        assert part in told
    assert told.split('id="ledger"')[1].count("100.00") == 1
    story = told.split('id="story"')[1].split("</section>")[0]
    places = [story.find(word) for word in ("Put into file", "Sent in file", "<b>999</b>", "<b>277CA</b>")]
    assert places == sorted(places)
    assert places[0] > 0
    assert "Its number is ICN1." in story
    assert AuditLog.objects.filter(action="console.retrieve", resource_id=str(claim.pk)).count() == 1


def test_the_page_of_a_claim_costs_the_same_whatever_happened_to_it() -> None:
    client, claim = signed_in("receptionist"), moved(make_claim(), "accepted")
    north = partner()
    sent_file(north, claim, state="accepted")
    page(client, f"{CLAIMS}{claim.pk}/")
    with CaptureQueriesContext(connection) as few:
        page(client, f"{CLAIMS}{claim.pk}/")
    for _ in range(5):
        answered(claim, Stage.PAYER, "A2")
        told_claim(remittance(north, amount="1.00"), claim)
    with CaptureQueriesContext(connection) as many:
        page(client, f"{CLAIMS}{claim.pk}/")
    assert len(many) == len(few) <= 24


def test_a_claim_whose_payer_nobody_reaches_is_submitted_from_its_page() -> None:
    client, claim = signed_in("receptionist"), make_claim()
    assert "Submitted." in said(client, f"{CLAIMS}{claim.pk}/submit/")
    claim.refresh_from_db()
    assert claim.status == "submitted"
    assert "cannot become" in said(client, f"{CLAIMS}{claim.pk}/submit/") or claim.status == "submitted"


def test_a_draft_is_checked_where_it_is_read_and_leaves_only_without_errors() -> None:
    client, claim = signed_in("receptionist"), ready_claim()
    url = f"{CLAIMS}{claim.pk}/"
    assert "Nothing: the claim can be submitted." in page(client, url)
    InsuranceClaim.objects.filter(pk=claim.pk).update(billing_entity=None)
    told = page(client, url)
    assert "billing-missing" in told
    refused = said(client, f"{url}submit/")
    assert 'class="error"' in refused
    assert not Submission.objects.exists()


def test_a_claim_in_line_is_withdrawn_and_one_in_a_file_is_not() -> None:
    client, claim = signed_in("receptionist"), ready_claim()
    url = f"{CLAIMS}{claim.pk}/"
    assert "waits for the next file" in said(client, f"{url}submit/")
    assert Submission.objects.get().status == "queued"
    assert f'action="{url}submit/"' not in page(client, url)
    assert "waits for nothing" in said(client, f"{url}withdraw/")
    assert Submission.objects.get().status == "withdrawn"
    sent_file(partner(), claim, state="batched")
    assert "stands in a file already" in said(client, f"{url}withdraw/")


def test_a_correction_leads_to_its_draft_and_a_void_asks_first() -> None:
    client, claim = signed_in("receptionist"), moved(ready_claim(), "denied", insurance_reference_number="ICN1")
    url = f"{CLAIMS}{claim.pk}/"
    assert "the payer takes back the claim" in said(client, f"{url}void/")
    assert InsuranceClaim.objects.count() == 1
    told = said(client, f"{url}correct/")
    made = InsuranceClaim.objects.get(original=claim)
    assert "This is the correction." in told
    assert f"Claim {made.claim_number}" in told
    assert f'Replaced by</dt><dd><a href="{CLAIMS}{made.pk}/"' in page(client, url)
    assert "already" in said(client, f"{url}void/", confirmed="1")


def test_ticked_claims_are_checked_and_submitted_each_with_its_own_outcome() -> None:
    client, north = signed_in("receptionist"), partner()
    coverage = make_patient_insurance()
    good = ready_claim(partner=north, patient_insurance=coverage)
    bad = ready_claim(patient_insurance=coverage, billing_entity=None, rendering_doctor=good.rendering_doctor)
    ticked = {"claim": [str(good.pk), str(bad.pk)]}
    told = said(client, f"{CLAIMS}bulk/", verb="scrub", **ticked)
    assert "Without errors: 1 of 2" in told
    assert "billing-missing" in told
    assert not Submission.objects.exists()
    told = said(client, f"{CLAIMS}bulk/", verb="submit", **ticked)
    assert "Submitted: 1 of 2" in told
    assert [row.claim_id for row in Submission.objects.all()] == [good.pk]
    assert AuditLog.objects.filter(action="console.submit").count() == 2
    assert "No claim was ticked." in said(client, f"{CLAIMS}bulk/", verb="submit")
    assert client.post(f"{CLAIMS}bulk/", {"verb": "conjure", **ticked}).status_code == 403


def test_what_cannot_be_taken_back_asks_first() -> None:
    client, claim = signed_in("receptionist"), moved(make_claim(), "denied")
    url = f"{CLAIMS}{claim.pk}/appeal/"
    asked = said(client, url)
    assert "The claim counts as appealed until the payer answers." in asked
    assert "Leave it" in asked
    claim.refresh_from_db()
    assert claim.status == "denied"
    assert "Noted." in said(client, url, confirmed="1")
    claim.refresh_from_db()
    assert claim.status == "appealed"


def test_a_refusal_is_told_as_a_sentence_and_written_down() -> None:
    client, claim = signed_in("receptionist"), moved(make_claim(), "accepted")
    told = said(client, f"{CLAIMS}{claim.pk}/reopen/")
    assert "cannot become draft" in told
    assert AuditLog.objects.filter(action="console.reopen", outcome="refused").count() == 1
    assert client.post(f"{CLAIMS}{claim.pk}/conjure/").status_code == 403


def test_files_in_doubt_come_with_what_follows_from_each_answer() -> None:
    client, north, claim = signed_in("receptionist"), partner(name="North"), make_claim()
    file = sent_file(north, claim, state="batched", status="in_doubt", work_state="held")
    told = page(client, FILES)
    assert "<b>1 file</b> is in doubt or held" in told
    assert "Perhaps it arrived" in told
    asked = said(client, f"{FILES}{file.pk}/mark_not_received/")
    assert "they are claimed twice" in asked
    file.refresh_from_db()
    assert file.status == "in_doubt"
    told = said(client, f"{FILES}{file.pk}/mark_received/", confirmed="1")
    assert "The file counts as sent" in told
    claim.refresh_from_db()
    assert (claim.status, Submission.objects.get().status) == ("submitted", "sent")
    assert AuditLog.objects.filter(action="console.mark_received", resource_id=str(file.pk)).exists()


def test_claims_of_a_file_that_never_arrived_wait_for_the_next_one() -> None:
    client, claim = signed_in("receptionist"), make_claim()
    file = sent_file(partner(), claim, state="batched", status="in_doubt", work_state="held")
    assert "wait for the next one" in said(client, f"{FILES}{file.pk}/mark_not_received/", confirmed="1")
    assert sorted(Submission.objects.values_list("status", flat=True)) == ["queued", "requeued"]
    assert "already" not in said(client, f"{FILES}{file.pk}/mark_not_received/", confirmed="1")
    assert Submission.objects.count() == 2


def test_files_are_listed_by_state_and_cost_the_same_for_many() -> None:
    client, north = signed_in("receptionist"), partner()
    sent_file(north, make_claim())
    page(client, FILES)
    with CaptureQueriesContext(connection) as few:
        page(client, FILES)
    for _ in range(3):
        sent_file(north, make_claim(), state="batched")
    with CaptureQueriesContext(connection) as many:
        told = page(client, FILES)
    assert len(many) == len(few) <= 20
    assert "<b>3</b> ready" in told
    assert rows(page(client, FILES, status="ready")).count("for Clearinghouse") == 3
    assert Interchange.objects.count() == 4


def test_files_are_made_and_answers_collected_when_somebody_cannot_wait() -> None:
    client = signed_in("receptionist")
    partner()
    assert "Make files now" in page(client, FILES)
    assert "put into files now" in said(client, f"{FILES}now/build/")
    assert "asked for answers now" in said(client, f"{FILES}now/collect/")
    assert client.post(f"{FILES}now/conjure/").status_code == 404
    assert client.post(f"{FILES}now/build/").status_code == 302
    assert signed_in("nurse").post(f"{FILES}now/build/").status_code == 403
    assert AuditLog.objects.filter(action="console.collect").count() == 1


def test_files_that_came_wait_for_a_person_with_the_reason() -> None:
    client, north = signed_in("receptionist"), partner()
    inbound_file(north, name="fine.txt")
    inbound_file(north, name="odd.txt", status="quarantined", status_reason="It is no X12.", kinds="")
    told = page(client, INBOUND)
    assert "It is no X12." in told
    assert "fine.txt" not in told
    assert "fine.txt" in page(client, INBOUND, all="1")
    assert "<b>1</b> wait for a person" in page(client, FILES)
    assert InboundFile.objects.count() == 2


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
    told = said(client, f"{PAYMENTS}claims/{row.pk}/match/", claim=str(ours.pk))
    assert "Posted to this claim." in told
    ours.refresh_from_db()
    assert (ours.status, ours.paid_amount) == ("paid", Decimal("100.00"))
    row.refresh_from_db()
    assert (row.state, row.remittance.status) == ("posted", "posted")
    assert "settled already" in said(client, f"{PAYMENTS}claims/{row.pk}/match/", claim=str(ours.pk))


def test_what_is_none_of_ours_is_put_aside_with_a_reason() -> None:
    client, north = signed_in("receptionist"), partner()
    row = told_claim(remittance(north, status="partly"), None, content=CONTENT)
    url = f"{PAYMENTS}claims/{row.pk}/dismiss/"
    assert "Say why." in said(client, url)
    assert "Put aside." in said(client, url, reason="Another clinic's")
    row.refresh_from_db()
    assert (row.state, row.reason) == ("dismissed", "Another clinic's")
    bad = remittance(north, status="quarantined", problem="the sums differ")
    assert "Put aside." in said(client, f"{PAYMENTS}{bad.pk}/dismiss/", reason="A right one came")
    bad.refresh_from_db()
    assert bad.status == "dismissed"


def test_a_file_put_aside_is_read_again() -> None:
    client, file = signed_in("receptionist"), inbound_file(partner(), status="quarantined", kinds="")
    assert "It is read again now." in said(client, f"{INBOUND}{file.pk}/retry/")
    file.refresh_from_db()
    assert file.work_state == "waiting"
    assert "or will be in a moment" in said(client, f"{INBOUND}{file.pk}/retry/")


def test_only_an_administrator_pauses_a_partner_and_lets_files_leave_again() -> None:
    north, admin, desk = partner(), signed_in("admin"), signed_in("receptionist")
    pause, resume = (f"{FILES}partners/{north.pk}/{verb}/" for verb in ("pause", "resume"))
    assert desk.post(pause, {"reason": "x"}).status_code == 403
    assert "Why nothing is to go there" not in page(desk, FILES)
    assert "Say why" in said(admin, pause)
    assert "Paused." in said(admin, pause, reason="New host key")
    assert "New host key" in page(desk, FILES)
    assert "Files leave again" in said(admin, resume)
    north.refresh_from_db()
    assert north.paused_at is None
