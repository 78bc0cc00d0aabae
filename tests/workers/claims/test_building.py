"""Builds files of queued claims and looks at the bytes and at the rows."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.apps.core import closed_values
from backend.apps.core.models import Alert
from backend.apps.insurance import claim_facts, fact_parts, scrubbing, submitting
from backend.apps.insurance.models import (
    BillingEntity,
    ClaimLineAdjudication,
    ControlNumber,
    InsuranceClaim,
    Interchange,
    PriorAdjudication,
    Submission,
    TradingPartner,
)
from backend.apps.insurance.tests import factories
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from tests.support.queued_claims import queue, queued_claim
from tests.support.x12valid import x12valid
from workers.claims import building
from workers.runner import HandlerBug

pytestmark = pytest.mark.django_db


@pytest.fixture
def partner() -> TradingPartner:
    factories.billing_entity(is_default=True)
    return factories.partner(ack_requested=True, wants_trace=True, file_prefix="clinic_")


@pytest.fixture
def coverage() -> Any:
    return factories.make_patient_insurance()


def segments(file: Interchange) -> list[list[str]]:
    return [one.split("*") for one in bytes(file.content).decode().split("~") if one]


def test_queued_claims_become_one_file_whose_bytes_and_numbers_are_stored(
    partner: Any, rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    claims = [queued_claim(partner) for _ in range(3)]
    with django_capture_on_commit_callbacks(execute=True):
        assert building.build_due() == "3 batched, 1 files"
    file = Interchange.objects.get()
    assert x12valid(bytes(file.content)) == []
    assert (file.status, file.items, file.transactions, file.interchange_number, file.group_number) == (
        "ready", 3, 3, 1, 1,
    )  # fmt: skip
    assert file.file_name.startswith("clinic_20")
    assert file.file_name.endswith("_000000001.x12")
    sent = {row.claim_id: row for row in Submission.objects.filter(interchange=file, status="batched")}
    assert set(sent) == {claim.pk for claim in claims}
    for claim in InsuranceClaim.objects.all():
        row = sent[claim.pk]
        assert claim.status == "draft"
        assert row.claim_control_number == claim.control_number
        inside = _transaction(file, row.transaction_number)
        assert inside[row.first_segment - 1][0] == "HL"
        assert ["CLM", claim.control_number] in [one[:2] for one in inside[row.first_segment - 1 : row.last_segment]]
        assert inside[1][3] == row.batch_reference
    assert rung == ["claims.transmit"]


def _transaction(file: Interchange, number: str) -> list[list[str]]:
    found = segments(file)
    start = next(place for place, one in enumerate(found) if one[:1] == ["ST"] and one[2] == number)
    end = next(place for place, one in enumerate(found) if place > start and one[0] == "SE")
    return found[start : end + 1]


def test_a_claim_goes_out_under_the_number_it_was_queued_with(partner: Any, coverage: Any, rung: Any) -> None:
    claim = factories.ready_claim(partner=partner, patient_insurance=coverage, billing_entity=None)
    submitting.submit(claim, by=None)
    number = claim.control_number
    assert len(number) == 17
    building.build_due()
    assert [one[1] for one in segments(Interchange.objects.get()) if one[0] == "CLM"] == [number]
    assert InsuranceClaim.objects.get().control_number == number


def test_a_claim_queued_without_a_number_gets_one(partner: Any, coverage: Any, rung: Any) -> None:
    claim = queued_claim(partner, patient_insurance=coverage)
    InsuranceClaim.objects.filter(pk=claim.pk).update(control_number="")
    building.build_due()
    claim.refresh_from_db()
    assert [one[1] for one in segments(Interchange.objects.get()) if one[0] == "CLM"] == [claim.control_number]
    assert Submission.objects.get().claim_control_number == claim.control_number


def test_a_file_ends_at_the_partners_limit_and_the_rest_goes_into_the_next(
    partner: Any, coverage: Any, rung: Any
) -> None:
    TradingPartner.objects.update(max_claims_per_file=2)
    for _ in range(5):
        queued_claim(partner, patient_insurance=coverage)
    assert building.build_due() == "5 batched, 3 files"
    files = Interchange.objects.order_by("interchange_number")
    assert list(files.values_list("interchange_number", "group_number", "items")) == [(1, 1, 2), (2, 2, 2), (3, 3, 1)]
    references = Submission.objects.values_list("batch_reference", flat=True)
    assert len(set(references)) == 3


def test_who_dies_before_the_end_leaves_no_trace(partner: Any, coverage: Any, rung: Any, monkeypatch: Any) -> None:
    queued_claim(partner, patient_insurance=coverage)

    def die(*_given: Any, **_named: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(building.interchanges, "store", die)
        with pytest.raises(KeyboardInterrupt):
            building.build_due()
    assert not Interchange.objects.exists()
    assert not ControlNumber.objects.exists()
    assert Submission.objects.get().status == "queued"
    assert building.build_due() == "1 batched, 1 files"


def test_a_claim_that_has_become_wrong_goes_back_to_the_desk_and_its_neighbours_leave(
    partner: Any, coverage: Any, rung: Any
) -> None:
    bad, good = (queued_claim(partner, patient_insurance=coverage) for _ in range(2))
    InsuranceClaim.objects.filter(pk=bad.pk).update(place_of_service="1")
    assert building.build_due() == "1 batched, 1 files, 1 withdrawn"
    assert Submission.objects.get(claim=good).status == "batched"
    back = Submission.objects.get(claim=bad)
    assert back.status == "withdrawn"
    assert back.status_reason == "place_of_service: Choose the place of service from the list of CMS."
    assert InsuranceClaim.objects.get(pk=bad.pk).status == "draft"


def test_a_members_number_that_does_not_open_sends_its_own_claims_back_and_opens_an_alert(
    partner: Any, coverage: Any, rung: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(closed_values, "_told", {})  # of this process, told of within the minute
    good = queued_claim(partner, patient_insurance=coverage)
    prior = factories.make_prior_adjudication(make_patient())
    plan = InsuranceClaim.objects.get(pk=prior.claim_id).patient_insurance.insurance_plan
    plan.provider.routes.update(partner=partner)
    own, second = queued_claim(partner), queue(prior.claim, partner)
    closed = [own.patient_insurance_id, prior.coverage_id]
    with connection.cursor() as cursor:  # as of another row
        cursor.execute(
            "UPDATE insurance_patientinsurance SET member_id = (SELECT member_id FROM insurance_patientinsurance "
            "WHERE id = %s) WHERE id = ANY(%s)",
            [coverage.pk, closed],
        )
    assert building.build_due() == "1 batched, 1 files, 2 withdrawn"
    assert Submission.objects.get(claim=good).status == "batched"
    told = [Submission.objects.get(claim=one).status_reason for one in (own, second)]
    assert told[0].startswith("subscriber.member_id: The member's number does not open")
    assert told[1].startswith("other_payers[P].subscriber.member_id: The other policy's number does not open")
    assert Alert.objects.get(kind="sealed_value_closed").cause.endswith("insurance.PatientInsurance.member_id")
    assert [one.rule for one in scrubbing.scrub(own)] == ["member-id-unreadable"]


def test_a_claim_that_fits_no_element_of_this_partner_goes_back_too(partner: Any, coverage: Any, rung: Any) -> None:
    TradingPartner.objects.update(element_separator="/")
    bad = queued_claim(partner)
    queued_claim(partner, patient_insurance=coverage)
    Patient.objects.filter(insurances=bad.patient_insurance).update(medical_record_number="A/1")
    assert building.build_due() == "1 batched, 1 files, 1 withdrawn"
    reason = Submission.objects.get(claim=bad).status_reason
    assert reason.startswith("It cannot be written: 2300 REF*EA")


def test_a_file_without_a_claim_is_none_and_takes_no_number(partner: Any, coverage: Any, rung: Any) -> None:
    claim = queued_claim(partner, patient_insurance=coverage)
    coverage.insurance_plan.provider.routes.update(is_active=False)
    assert building.build_due() == "1 withdrawn"
    assert not Interchange.objects.exists()
    assert rung == []
    assert "not reached" in Submission.objects.get(claim=claim).status_reason
    assert set(ControlNumber.objects.values_list("last", flat=True)) == {0}


@pytest.mark.parametrize("trouble", [{"is_active": False}, {"paused_at": "2026-01-01T00:00Z"}])
def test_claims_to_a_partner_at_rest_stay_queued(partner: Any, coverage: Any, rung: Any, trouble: Any) -> None:
    queued_claim(partner, patient_insurance=coverage)
    TradingPartner.objects.update(**trouble)
    assert building.build_due() == "nothing queued"
    assert Submission.objects.get().status == "queued"


def test_a_dependent_is_written_below_the_holder(partner: Any, rung: Any) -> None:
    cover = factories.make_patient_insurance(
        policy_holder_relationship="child", policy_holder_name="DOE, JANE", policy_holder_dob=date(1980, 1, 2)
    )
    queued_claim(partner, patient_insurance=cover)
    building.build_due()
    file = Interchange.objects.get()
    assert x12valid(bytes(file.content)) == []
    found = segments(file)
    assert ["NM1", "IL", "1", "DOE", "JANE", "", "", "", "MI", "W123456789"] in found
    assert ["PAT", "19"] in found


def test_a_dependent_with_a_number_of_its_own_is_written_as_the_holder(partner: Any, rung: Any) -> None:
    cover = factories.make_patient_insurance(
        insurance_plan=factories.make_plan(dependents_are_members=True),
        policy_holder_relationship="child",
        policy_holder_name="Jane Doe",
        policy_holder_dob=date(1980, 1, 2),
    )
    queued_claim(partner, patient_insurance=cover)
    building.build_due()
    file = Interchange.objects.get()
    assert x12valid(bytes(file.content)) == []
    assert not [one for one in segments(file) if one[0] == "PAT"]
    assert [one[3] for one in segments(file) if one[:2] == ["NM1", "IL"]] == [cover.patient.last_name.upper()]


def test_a_corrected_claim_names_the_payers_number_of_the_first(partner: Any, coverage: Any, rung: Any) -> None:
    first = factories.ready_claim(partner=partner, patient_insurance=coverage)
    InsuranceClaim.objects.filter(pk=first.pk).update(insurance_reference_number="ICN77")
    first.refresh_from_db()
    queued_claim(partner, patient_insurance=coverage, frequency="7", original=first)
    building.build_due()
    file = Interchange.objects.get()
    assert x12valid(bytes(file.content)) == []
    assert ["REF", "F8", "ICN77"] in segments(file)


def test_a_second_payer_reads_what_the_first_decided_line_by_line(partner: Any, coverage: Any, rung: Any) -> None:
    second = factories.make_patient_insurance(patient=coverage.patient, priority=2)
    claim = factories.ready_claim(partner=partner, patient_insurance=second)
    prior = PriorAdjudication.objects.create(
        claim=claim, coverage=coverage, paid=Decimal(80), adjudicated_on=date(2026, 11, 1), reference="P1"
    )
    for number, paid, off in ((1, 60, "65.00"), (2, 20, "5.00")):
        ClaimLineAdjudication.objects.create(
            prior=prior, number=number, paid=Decimal(paid), code="99213", units=1, adjustments=[["CO", "45", off, None]]
        )
    queue(claim, partner)
    building.build_due()
    file = Interchange.objects.get()
    assert x12valid(bytes(file.content)) == []
    found = segments(file)
    assert ["AMT", "D", "80"] in found
    assert ["CAS", "CO", "45", "65"] in found
    assert [one[0] for one in found].count("SVD") == 2
    assert [one for one in found if one[:2] == ["DTP", "573"]] == [["DTP", "573", "D8", "20261101"]] * 2


def test_text_that_copy_escapes_comes_through(partner: Any, coverage: Any, rung: Any) -> None:
    queued_claim(partner, patient_insurance=coverage, note="tab\there, back\\slash")
    building.build_due()
    assert ["NTE", "ADD", "TAB HERE, BACK\\SLASH"] in segments(Interchange.objects.get())


def test_claims_cost_a_few_statements_for_a_thousand(partner: Any, coverage: Any, rung: Any, monkeypatch: Any) -> None:
    """Counted by the database, for what another thread asks Django does not see."""
    for _ in range(6):
        queued_claim(partner, patient_insurance=coverage)
    monkeypatch.setattr(building, "FIRST", 2)
    monkeypatch.setattr(building.claim_facts, "SECTION", 2)
    asked: list[str] = []
    monkeypatch.setattr(building.claim_facts, "read", _counted(building.claim_facts.read, asked))
    with CaptureQueriesContext(connection) as ours:
        building.build(partner.pk)
    assert len(asked) == 3
    assert len(ours) < 40


def test_one_claim_asks_for_the_parts_it_names_and_for_no_others(partner: Any, coverage: Any) -> None:
    claim, _ = (queued_claim(partner, patient_insurance=one) for one in (coverage, factories.make_patient_insurance()))
    said, parts = claim_facts.of(claim)
    assert set(parts.providers) == {said.rendering}
    assert set(parts.payers) == {said.payer}
    assert set(parts.plans) == {said.plan}
    assert set(parts.billing) == {said.billing}
    every = fact_parts.parts()
    assert all(mine.items() <= all_of_it.items() for mine, all_of_it in zip(parts, every, strict=True))
    assert len(every.providers) == 2


def test_claims_of_several_readings_stand_in_the_file_in_order(
    partner: Any, coverage: Any, rung: Any, monkeypatch: Any
) -> None:
    claims = [queued_claim(partner, patient_insurance=coverage) for _ in range(8)]
    for name, size in (("FIRST", 1), ("CHUNK", 2)):
        monkeypatch.setattr(building, name, size)
    monkeypatch.setattr(building.claim_facts, "SECTION", 4)
    TradingPartner.objects.update(max_claims_per_file=8)
    entity = factories.billing_entity()
    InsuranceClaim.objects.update(billing_entity=entity)
    assert building.build_due() == "8 batched, 1 files"
    file = Interchange.objects.get()
    assert x12valid(bytes(file.content)) == []
    assert [one[1] for one in segments(file) if one[0] == "CLM"] == [claim.control_number for claim in claims]


def test_what_keeps_one_partners_file_holds_up_no_other_and_is_told(partner: Any, coverage: Any, rung: Any) -> None:
    queued_claim(partner, patient_insurance=coverage)
    numberless, nameless = (factories.partner() for _ in range(2))
    for other in (numberless, nameless):
        payer = factories.make_provider()
        factories.route(provider=payer, partner=other)
        plan = factories.make_plan(provider=payer)
        queued_claim(other, patient_insurance=factories.make_patient_insurance(insurance_plan=plan))
    TradingPartner.objects.filter(pk=nameless.pk).update(submitter_id="")
    for kind in ControlNumber.Kind:
        ControlNumber.objects.create(partner=numberless, kind=kind, last=999_999_999)
    with pytest.raises(HandlerBug):
        building.build_due()
    assert Interchange.objects.get().partner == partner
    told = {alert.subject_id: alert.sentence for alert in Alert.objects.filter(resolved_at=None)}
    assert told.keys() == {str(numberless.pk), str(nameless.pk)}
    assert "used up" in told[str(numberless.pk)]
    assert "1000A NM109" in told[str(nameless.pk)]
    assert all(key in sentence for key, sentence in told.items())
    TradingPartner.objects.filter(pk=nameless.pk).update(submitter_id="OURS")
    with pytest.raises(HandlerBug):
        building.build_due()
    assert set(Alert.objects.filter(resolved_at=None).values_list("subject_id", flat=True)) == {str(numberless.pk)}


def test_without_anybody_who_bills_no_file_is_made_and_a_person_is_told(rung: Any) -> None:
    partner = factories.partner()
    queued_claim(partner)
    BillingEntity.objects.all().delete()
    with pytest.raises(HandlerBug):
        building.build_due()
    assert "Enter who bills" in Alert.objects.get(resolved_at=None).sentence
    assert Submission.objects.get().status == "queued"


def test_no_claim_is_rendered_more_than_twice_however_many_others_cannot_be_written(
    partner: Any, rung: Any, monkeypatch: Any
) -> None:
    TradingPartner.objects.update(element_separator="/")
    good, bad = ([queued_claim(partner) for _ in range(6)] for _ in range(2))
    for number, claim in enumerate(bad):
        Patient.objects.filter(insurances=claim.patient_insurance).update(medical_record_number=f"A/{number}")
    rendered: list[Any] = []
    write = building.Writer837P.write
    monkeypatch.setattr(building.Writer837P, "write", lambda self, some: write(self, _noted(some, rendered)))
    assert building.build_due() == "6 batched, 1 files, 6 withdrawn"
    assert len(rendered) <= 2 * 12
    found = [one.split("/")[1] for one in bytes(Interchange.objects.get().content).decode().split("~") if "CLM/" in one]
    assert set(found) == {claim.control_number for claim in good}


def _noted(claims: Any, into: list[Any]) -> Any:
    for claim in claims:
        into.append(claim)
        yield claim


def _counted(read: Any, asked: list[str]) -> Any:
    def counted(*given: Any) -> Any:
        asked.append("read")
        return read(*given)

    return counted
