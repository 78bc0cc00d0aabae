"""Proves that a biller sees where each claim stands and what to do next, and acts by forms that say how it ended."""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from decimal import Decimal

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from psycopg import errors as postgres

from backend.apps.core.models import AuditLog
from backend.apps.core.roles import STAFF
from backend.apps.insurance.models import (
    InsuranceClaim,
    RemittanceClaim,
    Stage,
    Submission,
)
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance, make_plan, partner, ready_claim
from backend.apps.insurance.tests.sent_claims import (
    answered,
    moved,
    queued,
    remittance,
    sent_file,
    told_claim,
)
from backend.apps.interop import claim_actions, claim_board, console
from backend.apps.interop.tests.billing_pages import (
    CLAIMS,
    DEPOSITS,
    DESK,
    FILES,
    INBOUND,
    PAYMENTS,
    UNPLACED,
    WORK,
    one_in_each_state,
    page,
    rows,
    said,
)
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db


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


def test_the_board_counts_settled_claims_only_so_far_and_of_a_partner_the_open_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one_in_each_state()
    client = signed_in("receptionist")
    partners = page(client, CLAIMS).split('id="partners"')[1].split("</section>")[0]
    for word in ("1 queued", "1 in a file", "1 taken in", "1 rejected", "1 appealed"):
        assert word in partners
    assert "paid" not in partners
    assert "denied" not in partners
    monkeypatch.setattr(claim_board, "COUNTED", 1)
    told = page(client, CLAIMS)
    assert "<b>1 or more</b> paid" in told
    assert "<b>1 or more</b> denied" in told
    assert "<b>1</b> rejected" in told


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


def test_what_a_payer_answers_on_paper_is_noted_on_the_page_of_the_claim() -> None:
    client, claim = signed_in("receptionist"), moved(make_claim(), "submitted")
    url = f"{CLAIMS}{claim.pk}/"
    told = page(client, url)
    for verb in ("accept", "reject", "deny", "mark_as_paid"):
        assert f'action="{url}{verb}/"' in told
    assert f'action="{url}note_payer_number/"' not in told
    assert "holds a sign that no file can carry" in said(client, f"{url}accept/", reference="ICN*1")
    assert "The payer decides on it." in said(client, f"{url}accept/")
    assert "Noted." in said(client, f"{url}note_payer_number/", payer_claim_number="ICN7")
    assert f'action="{url}note_payer_number/"' not in page(client, url)
    wrong = said(client, f"{url}mark_as_paid/", amount="ten")
    assert "Paid by the payer in all: A valid number is required." in wrong
    payment = {"amount": "100.00", "patient_responsibility": "20", "on": "", "reference": "CHECK 9"}
    assert "only an appeal opens the claim again" in said(client, f"{url}mark_as_paid/", **payment)
    assert "The ledger holds the payment." in said(client, f"{url}mark_as_paid/", confirmed="1", **payment)
    claim.refresh_from_db()
    assert (claim.status, claim.insurance_reference_number, claim.payment_reference) == ("paid", "ICN7", "CHECK 9")
    assert (claim.paid_amount, claim.patient_responsibility) == (Decimal("100.00"), Decimal("20.00"))
    assert "cannot become" in said(client, f"{url}deny/", confirmed="1", reason="Not covered")


def test_ticked_claims_are_submitted_and_written_down_or_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OSError

    client, claim = signed_in("receptionist"), ready_claim()
    client.raise_request_exception = False
    monkeypatch.setattr(console, "note", away)
    assert client.post(f"{CLAIMS}bulk/", {"verb": "submit", "claim": [str(claim.pk)]}).status_code == 500
    assert not Submission.objects.exists()


def test_a_form_of_too_many_claims_is_refused_and_not_cut() -> None:
    many = {"verb": "scrub", "claim": [str(uuid.uuid4()) for _ in range(201)]}
    assert signed_in("receptionist").post(f"{CLAIMS}bulk/", many).status_code == 400


@pytest.mark.parametrize(
    ("cause", "told"), [(None, "contradicts what is already stored"), (postgres.DeadlockDetected(), "the same moment")]
)
def test_rows_that_somebody_changes_at_the_same_moment_are_a_sentence(
    monkeypatch: pytest.MonkeyPatch, cause: Exception | None, told: str
) -> None:
    def crossed(*_: object, **__: object) -> None:
        raise (OperationalError if cause else IntegrityError) from cause

    client, claim = signed_in("receptionist"), make_claim()
    monkeypatch.setitem(claim_actions.BY_VERB, "submit", replace(claim_actions.BY_VERB["submit"], service=crossed))
    assert told in said(client, f"{CLAIMS}{claim.pk}/submit/")


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
