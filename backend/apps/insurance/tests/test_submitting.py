"""Proves that claims stand in line once and clean, stay frozen there, come back, and are corrected once judged."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.apps.core.exceptions import DomainError, IllegalTransition
from backend.apps.core.models import Clinic
from backend.apps.insurance import scrubbing, services, submitting
from backend.apps.insurance.models import (
    BillingEntity,
    InsuranceClaim,
    Interchange,
    PartnerPayer,
    Submission,
    TradingPartner,
)
from backend.apps.insurance.tests.factories import line, make_claim, make_patient_insurance, partner, ready_claim, route
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def stored(claim: InsuranceClaim) -> InsuranceClaim:
    return InsuranceClaim.objects.get(pk=claim.pk)


def rules(claim: InsuranceClaim) -> set[str]:
    return {one.rule for one in scrubbing.scrub(claim)}


def queued(**over: Any) -> InsuranceClaim:
    return services.submit(ready_claim(**over), by=None)


def in_a_file(claim: InsuranceClaim, status: str) -> None:
    """Let the claim's try stand in a file of its partner."""
    sent = claim.submissions.get()
    file = Interchange.objects.create(
        partner=sent.partner, interchange_number=1, group_number=1, file_name="1.x12", content=b"ISA", size_bytes=3
    )
    Submission.objects.filter(pk=sent.pk).update(status=status, interchange=file)


def test_a_claim_of_the_factory_has_no_finding_as_it_is_stored() -> None:
    assert scrubbing.scrub(ready_claim()) == []


def test_a_clean_claim_waits_for_the_next_file_and_is_no_more_than_a_draft() -> None:
    with_partner = partner()
    claim = queued(partner=with_partner)
    sent = claim.submissions.get()
    assert (claim.status, sent.status, sent.partner, sent.frequency) == ("draft", "queued", with_partner, "1")


def test_a_claim_whose_payer_no_partner_was_set_up_for_is_submitted_at_once() -> None:
    claim = ready_claim()
    PartnerPayer.objects.update(is_deleted=True, deleted_at="2026-01-01T00:00Z")
    assert services.submit(claim, by=None).status == "submitted"
    assert not Submission.objects.exists()


@pytest.mark.parametrize("off", [PartnerPayer, TradingPartner])
def test_a_claim_whose_partner_is_switched_off_stays_here_with_a_sentence(off: Any) -> None:
    claim = ready_claim()
    off.objects.update(is_active=False)
    with pytest.raises(DomainError, match="switched off"):
        services.submit(claim, by=None)
    (told,) = submitting.submit_each([claim], by=None)
    assert (told.outcome, "switched off" in told.reason, stored(claim).status) == ("refused", True, "draft")


def test_a_claim_for_paper_is_checked_as_any_other_but_for_what_only_files_need() -> None:
    claim = make_claim(place_of_service="98")
    with pytest.raises(scrubbing.HasErrors, match="place of service"):
        services.submit(claim, by=None)
    assert [one.outcome for one in submitting.submit_each([claim], by=None)] == ["refused"]
    assert stored(claim).status == "draft"
    BillingEntity.objects.update(postal_code="12207", address_line1="PO Box 5")
    services.change_claim(claim, by=None, place_of_service="11")
    assert {one.severity for one in scrubbing.scrub(claim)} == {"warning"}
    assert services.submit(claim, by=None).status == "submitted"


def test_errors_keep_a_claim_here_and_are_told_with_the_refusal() -> None:
    claim = ready_claim(
        procedure_codes=[line(modifiers=["25"], units=1)], place_of_service="98", prior_authorization=""
    )
    with pytest.raises(scrubbing.HasErrors, match="place of service") as refusal:
        services.submit(claim, by=None)
    assert [one["rule"] for one in refusal.value.details()["findings"]] == ["place-unknown"]
    assert not Submission.objects.exists()


def test_warnings_let_a_claim_go() -> None:
    claim = ready_claim(place_of_service="02")
    assert rules(claim) == {"telehealth-modifier"}
    assert services.submit(claim, by=None).submissions.count() == 1


def test_a_claim_stands_in_line_once() -> None:
    claim = queued()
    with pytest.raises(DomainError, match="on its way"):
        services.submit(claim, by=None)
    assert claim.submissions.count() == 1


def test_a_claim_in_line_is_frozen_until_it_is_withdrawn() -> None:
    claim = queued()
    with pytest.raises(DomainError, match="Withdraw it first"):
        services.change_claim(claim, by=None, note="later")
    with pytest.raises(DomainError, match="Withdraw it first"):
        claim.delete()
    submitting.withdraw(claim, by=None)
    services.change_claim(claim, by=None, note="later")
    services.submit(claim, by=None)
    assert sorted(claim.submissions.values_list("status", flat=True)) == ["queued", "withdrawn"]


def test_a_claim_that_stands_in_a_file_or_nowhere_is_not_withdrawn() -> None:
    claim = ready_claim()
    with pytest.raises(DomainError, match="not in line"):
        submitting.withdraw(claim, by=None)
    services.submit(claim, by=None)
    in_a_file(claim, "batched")
    with pytest.raises(DomainError, match="in a file already"):
        submitting.withdraw(claim, by=None)


def test_a_submitted_claim_is_not_submitted_again_by_a_partner() -> None:
    claim = ready_claim()
    InsuranceClaim.objects.filter(pk=claim.pk).update(status="submitted", submission_date=claim.service_date)
    with pytest.raises(IllegalTransition):
        services.submit(stored(claim), by=None)


def test_of_many_each_is_told_what_became_of_it_for_the_same_number_of_statements() -> None:
    clean, bad, twice = ready_claim(), ready_claim(place_of_service="98"), queued()
    paper, unfinished = make_claim(), make_claim(diagnosis_codes=[], procedure_codes=[])
    asked = [bad, clean, twice, paper, unfinished]
    told = submitting.submit_each(asked, by=None)
    assert [one.id for one in told] == [claim.pk for claim in asked]
    assert [one.outcome for one in told] == ["refused", "queued", "refused", "submitted", "refused"]
    assert [bool(one.reason) for one in told] == [True, False, True, False, True]
    assert [stored(claim).status for claim in asked] == ["draft", "draft", "draft", "submitted", "draft"]
    few, many = [ready_claim() for _ in range(2)], [ready_claim() for _ in range(8)]
    with CaptureQueriesContext(connection) as two:
        submitting.submit_each(few, by=None)
    with CaptureQueriesContext(connection) as eight:
        submitting.submit_each(many, by=None)
    assert len(two) == len(eight)
    assert Submission.objects.filter(claim__in=many, status="queued").count() == 8


def test_a_reopened_claim_is_sent_again_and_waits_for_no_answer_to_the_first_try() -> None:
    claim = queued()
    in_a_file(claim, "sent")
    InsuranceClaim.objects.filter(pk=claim.pk).update(status="submitted", submission_date=Clinic.today())
    services.reject(claim := stored(claim), by=None, reason="Unknown member")
    services.reopen(claim, by=None)
    services.submit(claim, by=None)
    assert sorted(claim.submissions.values_list("status", flat=True)) == ["queued", "rejected"]


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"accident": "OA"}, "accident_on"),
        ({"accident": "AA", "accident_on": "2026-01-01"}, "accident_state"),
        ({"procedure_codes": [line(rendering_doctor="0199c0de-0000-7000-8000-000000000001")]}, "procedure_codes"),
    ],
)
def test_a_claim_that_contradicts_itself_is_refused_by_field(over: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        services.write_claim(
            by=None,
            patient_insurance=make_patient_insurance(),
            service_date=Clinic.today(),
            **{"diagnosis_codes": ["E11.9"], "procedure_codes": [line()], **over},
        )
    assert field in refusal.value.message_dict


def test_a_refusal_shows_three_messages_and_how_many_more_there_are() -> None:
    claim = ready_claim(place_of_service="98")
    claim.billing_entity.npi = claim.billing_entity.address_line1 = claim.billing_entity.city = ""
    type(claim.billing_entity).objects.filter(pk=claim.billing_entity_id).update(npi="", city="", postal_code="12207")
    with pytest.raises(scrubbing.HasErrors, match="And 1 more"):
        services.submit(claim, by=None)


def test_another_way_to_the_payer_does_not_count_while_its_partner_is_gone() -> None:
    claim = ready_claim()
    TradingPartner.objects.update(is_active=False)
    PartnerPayer.objects.update(is_active=False)
    route(provider=claim.patient_insurance.insurance_plan.provider)
    assert services.submit(claim, by=None).submissions.count() == 1


def test_all_drafts_are_those_not_on_their_way_one_page_after_the_other() -> None:
    api, claims = client_for(make_user("receptionist")), [ready_claim() for _ in range(4)]
    api.post(f"/api/v1/insurance-claims/{claims[1].pk}/submit/")
    ids = [str(claims[place].pk) for place in (0, 2, 3)]
    told = api.post("/api/v1/insurance-claims/scrub/", {"all_drafts": True}, format="json")
    assert [one["id"] for one in told.data] == ids
    rest = api.post("/api/v1/insurance-claims/scrub/", {"all_drafts": True, "after": ids[0]}, format="json")
    assert [one["id"] for one in rest.data] == ids[1:]


def test_a_partner_and_its_way_to_a_payer_stay_in_use_while_claims_wait_for_them() -> None:
    claim = queued()
    way = PartnerPayer.objects.get()
    for row in (way.partner, way):
        with pytest.raises(DomainError, match="wait"):
            row.delete()
        row.is_active = False
        with pytest.raises(ValidationError, match="wait"):
            row.full_clean()
    submitting.withdraw(claim, by=None)
    for row in (way, way.partner):
        row.full_clean()
        row.delete()
