"""Holds what a question to a payer looks like in its file, that it is in one only, and that its answer finds it."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone
from x12sdk.io import X12ModelReader

from backend.apps.core.models import Alert, Clinic
from backend.apps.core.sealed import written
from backend.apps.insurance import eligibility, eligibility_answers, interchanges, status_requests
from backend.apps.insurance.models import (
    EligibilityInquiry,
    InboundFile,
    InsuranceClaim,
    Interchange,
    PatientInsurance,
    StatusInquiry,
)
from backend.apps.insurance.tests.factories import (
    billing_entity,
    make_claim,
    make_patient_insurance,
    make_plan,
    partner,
    route,
)
from backend.apps.patients.tests.factories import make_patient
from integrations.x12 import eligibility_271, segments
from workers import eligibility as task
from workers.runner import HandlerBug

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


def askable(**over: Any) -> PatientInsurance:
    coverage = make_patient_insurance(**over)
    payer = coverage.insurance_plan.provider
    if not payer.routes.exists():
        route(provider=payer, answers_eligibility=True, answers_status=True)
    return coverage


def asked(*coverages: PatientInsurance) -> list[EligibilityInquiry]:
    return [eligibility.ask(by=None, coverage=coverage) for coverage in coverages]


def text(file: Interchange) -> str:
    return bytes(file.content).decode("ascii")


def test_questions_of_a_partner_go_into_one_file_and_each_only_once() -> None:
    billing_entity(is_default=True)
    first = askable()
    second = make_patient_insurance(insurance_plan=first.insurance_plan, member_id="W222")
    rows = asked(first, second)
    assert task.build() == "2 270"
    assert task.build() == "nothing to ask"
    file = Interchange.objects.get()
    assert (file.kind, file.items, file.transactions, file.status) == ("270", 2, 1, "ready")
    for row in rows:
        row.refresh_from_db()
        assert (row.status, row.interchange) == ("batched", file)
        assert text(file).count(f"TRN*1*{row.trace}*1123456789~") == 1


def test_an_independent_reader_takes_self_and_dependent() -> None:
    billing_entity(is_default=True)
    plan = make_plan(group_number="GRP1")
    asked(
        askable(insurance_plan=plan),
        askable(
            insurance_plan=plan,
            patient=make_patient(first_name="Bo", gender="other"),
            policy_holder_relationship="child",
            policy_holder_name="Ada Maria Okafor",
            policy_holder_dob=date(1980, 5, 17),
        ),
    )
    task.build()
    content = text(Interchange.objects.get())
    with X12ModelReader(content) as reader:
        assert len(list(reader.models())) == 1
    assert "NM1*IL*1*OKAFOR*ADA MARIA****MI*" in content
    assert "NM1*03*1*OKAFOR*BO~" in content


def test_what_was_sent_is_answered_and_verifies_the_coverage() -> None:
    billing_entity(is_default=True)
    coverage = askable()
    (row,) = asked(coverage)
    task.build()
    file = Interchange.objects.get()
    interchanges.mark_sent(file, at=timezone.now())
    row.refresh_from_db()
    assert row.status == "sent"
    content = answer_to(row)
    inbound = InboundFile.objects.create(
        partner=row.partner, name="a.271", size_bytes=1, sha256=uuid.uuid4().hex, content=content, dedupe_key="a.271"
    )
    for transaction in segments.read(content):
        answers = eligibility_271.read(transaction)
        assert eligibility_answers.take_each(answers, file=inbound) == ["applied"]
    coverage.refresh_from_db()
    assert (coverage.verification_status, coverage.last_verified_date) == ("verified", Clinic.today())


def answer_to(row: EligibilityInquiry) -> bytes:
    body = (
        "ST*271*0001*005010X279A1~BHT*0022*11*0000000010001*20260101*1200~HL*1**20*1~NM1*PR*2*PAYER*****PI*P1~"
        "HL*2*1*21*1~NM1*1P*2*CLINIC*****XX*1234567893~HL*3*2*22*0~"
        f"TRN*2*{row.trace}*1123456789~NM1*IL*1*OKAFOR*ADA****MI*W1~EB*1*IND*30~EB*B*IND*98***27*25~SE*12*0001~"
    )
    return (
        "ISA*00*          *00*          *ZZ*THEIRS         *ZZ*OURS           *260101*1200*^*00501*000000001*0*T*:~"
        f"GS*HB*THEIRS*OURS*20260101*1200*1*X*005010X279A1~{body}GE*1*1~IEA*1*000000001~"
    ).encode()


def test_a_question_that_cannot_be_written_costs_only_itself() -> None:
    billing_entity(is_default=True)
    good = askable()
    bad = make_patient_insurance(insurance_plan=good.insurance_plan, member_id="\u4e2d\u4e2d")
    rows = asked(good, bad)
    task.build()
    for row in rows:
        row.refresh_from_db()
    assert [row.status for row in rows] == ["batched", "rejected"]
    assert rows[1].codes[0].startswith("not written: ")
    assert Interchange.objects.get().items == 1


def test_a_payer_that_another_partner_reaches_by_now_is_not_asked_by_this_one() -> None:
    billing_entity(is_default=True)
    coverage = askable()
    (row,) = asked(coverage)
    coverage.insurance_plan.provider.routes.update(partner=partner())
    task.build()
    row.refresh_from_db()
    assert (row.status, Interchange.objects.count()) == ("rejected", 0)


def test_a_paused_partner_is_not_spoken_to() -> None:
    billing_entity(is_default=True)
    (row,) = asked(askable())
    type(row.partner).objects.update(paused_at=timezone.now())
    assert task.build() == "nothing to ask"


def test_nobody_asks_without_an_npi_and_a_person_is_told() -> None:
    asked(askable())
    assert task.build() == "nothing to ask"
    assert Alert.objects.get(cause=task.NOBODY_ASKS).resolved_at is None
    billing_entity(is_default=True)
    assert task.build() == "1 270"
    assert Alert.objects.get(cause=task.NOBODY_ASKS).resolved_at is not None


def test_a_partner_whose_entry_is_wrong_holds_up_no_other() -> None:
    billing_entity(is_default=True)
    wrong, right = asked(askable(), askable())
    type(wrong.partner).objects.filter(pk=wrong.partner_id).update(our_id="*")
    assert task.build() == "1 270"
    right.refresh_from_db()
    assert right.status == "batched"
    assert Alert.objects.filter(cause=f"questions to payers:{wrong.partner_id}", resolved_at=None).exists()


def test_a_fault_of_our_own_at_one_partner_stops_no_other_and_is_told(monkeypatch: Any) -> None:
    billing_entity(is_default=True)
    wrong, right = asked(askable(), askable())
    written = task.envelopes.envelope

    def broken(by: Any, *given: Any) -> Any:
        return {}["DOE, JANE"] if by.pk == wrong.partner_id else written(by, *given)

    with monkeypatch.context() as patch:
        patch.setattr(task.envelopes, "envelope", broken)
        with pytest.raises(HandlerBug, match="KeyError") as raised:
            task.build()
    right.refresh_from_db()
    alert = Alert.objects.get()
    assert (right.status, alert.subject_id, alert.resolved_at) == ("batched", str(wrong.partner_id), None)
    assert "DOE" not in alert.sentence + str(raised.value)
    assert task.build() == "1 270"
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_the_number_of_medicare_goes_without_the_hyphens_of_the_card_in_questions_too() -> None:
    billing_entity(is_default=True)
    by_kind = askable(insurance_plan=make_plan(plan_type="medicare"), member_id="1eg4-te5-mk73")
    by_code = askable(insurance_plan=make_plan(plan_type="ppo", claim_filing_code="MB"), member_id="1EG4 TE5 MK74")
    other = askable(insurance_plan=make_plan(plan_type="medicare", claim_filing_code="16"), member_id="W-1")
    silent_claim(patient_insurance=by_kind)
    asked(by_kind, by_code, other)
    status_requests.due()
    task.build()
    content = {kind: "".join(map(text, Interchange.objects.filter(kind=kind))) for kind in ("270", "276")}
    assert all(f"*MI*{number}~" in content["270"] for number in ("1EG4TE5MK73", "1EG4TE5MK74", "W-1"))
    assert "*MI*1EG4TE5MK73~" in content["276"]


def test_a_biller_that_cannot_be_written_stops_the_questions_and_refuses_none_of_them() -> None:
    biller = billing_entity(is_default=True)
    (row,) = asked(askable())
    silent_claim(patient_insurance=row.coverage)
    status_requests.due()
    type(biller).objects.update(name="\u4e2d\u4e2d")
    assert task.build() == "nothing to ask"
    (alert,) = Alert.objects.filter(cause=f"questions to payers:{row.partner_id}", resolved_at=None)
    assert alert.sentence.startswith(f"Questions for {row.partner.name} cannot be written: ")
    row.refresh_from_db()
    assert (row.status, StatusInquiry.objects.get().status) == ("queued", "queued")
    type(biller).objects.update(name="Oak Clinic")
    assert task.build() == "1 270, 1 276"
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_a_fault_that_stops_one_kind_of_question_is_not_cleared_by_the_other() -> None:
    biller = billing_entity(is_default=True)
    (row,) = asked(askable())
    silent_claim(patient_insurance=row.coverage)
    status_requests.due()
    type(biller).objects.update(**written(type(biller), biller.pk, tax_id="12345"))  # stands in a 270 only
    assert task.build() == "1 276"
    assert Alert.objects.filter(cause=f"questions to payers:{row.partner_id}", resolved_at=None).exists()
    biller.save(update_fields=["tax_id"])
    assert task.build() == "1 270"
    assert not Alert.objects.filter(cause=f"questions to payers:{row.partner_id}", resolved_at=None).exists()


def test_a_payer_that_cannot_be_written_costs_only_its_own_questions() -> None:
    billing_entity(is_default=True)
    bad, good = askable(), askable()
    rows = asked(bad, good)
    type(bad.insurance_plan.provider).objects.filter(pk=bad.insurance_plan.provider_id).update(company_name="\u4e2d")
    assert task.build() in {"1 270", "2 270"}
    for row in rows:
        row.refresh_from_db()
    assert [row.status for row in rows] == ["rejected", "batched"]
    assert rows[0].codes[0].startswith("not written: NM1*PR")


def silent_claim(**over: Any) -> InsuranceClaim:
    usual = {
        "status": "accepted",
        "control_number": uuid.uuid4().hex[:17].upper(),
        "service_date": Clinic.today() - timedelta(days=40),
        "patient_insurance": askable(),
    }
    return make_claim(**{**usual, **over})


def test_a_claim_that_nobody_answers_is_asked_about_in_a_276_once() -> None:
    billing_entity(is_default=True)
    claim = silent_claim()
    silent_claim(status="paid", paid_amount=1, payment_date=Clinic.today())
    silent_claim(submission_date=Clinic.today() - timedelta(days=3))
    silent_claim(control_number="")
    assert (status_requests.due(), status_requests.due()) == (1, 0)
    assert task.build() == "1 276"
    file = Interchange.objects.get()
    row = StatusInquiry.objects.get()
    assert (row.claim, row.interchange, row.status) == (claim, file, "batched")
    assert f"REF*EJ*{claim.control_number}~" in text(file)
    with X12ModelReader(text(file)) as reader:
        assert len(list(reader.models())) == 1
