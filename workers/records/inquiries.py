"""Turns questions about coverages and claims into the records that the writers of 270 and 276 take."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from backend.apps.insurance.edits.coverage import MEDICARE
from backend.apps.insurance.edits.forms import medicare_number
from backend.apps.insurance.facts import UNREADABLE, Billing
from backend.apps.insurance.models import EligibilityInquiry, InsurancePlan, PatientInsurance, StatusInquiry
from integrations.x12.inquiry_records import EligibilityQuestion, StatusQuestion

SELF, SPOUSE, CHILD, OTHER = "18", "01", "19", "G8"  # SBR02 and PAT01: of the patient to the holder
Relationship = PatientInsurance.Relationship
RELATIONS = {Relationship.SELF: SELF, Relationship.SPOUSE: SPOUSE, Relationship.CHILD: CHILD}
SEXES = {"female": "F", "male": "M", "F": "F", "M": "M"}  # 270 and 276 know no third: then it stays out
COVERAGE = ("patient", "insurance_plan")  # of a coverage: what is read with it


class People(NamedTuple):
    """What both kinds of question say of patient and holder; names as in the records."""

    relationship: str
    member_id: str
    group_number: str
    holder_last: str
    holder_first: str
    holder_birth: str
    holder_sex: str
    patient_last: str
    patient_first: str
    patient_birth: str
    patient_sex: str

    def __repr__(self) -> str:
        return "People()"


def eligibility(question: EligibilityInquiry, *, provider: str) -> EligibilityQuestion:
    """Return what a 270 asks. provider: the id of who asks."""
    return EligibilityQuestion(
        id=str(question.pk),
        payer=str(question.coverage.insurance_plan.provider_id),
        provider=provider,
        trace=question.trace,
        service_on=_day(question.service_on),
        service_types=question.service_type,
        **_people(question.coverage)._asdict(),
    )


def status(question: StatusInquiry, *, provider: str) -> StatusQuestion:
    """Return what a 276 asks. provider: the id of who asks, where the claim names nobody who bills."""
    claim = question.claim
    coverage, days = claim.patient_insurance, sorted(_days(claim))
    return StatusQuestion(
        id=str(question.pk),
        payer=str(coverage.insurance_plan.provider_id),
        provider=str(claim.billing_entity_id or provider),
        trace=question.trace,
        control_number=claim.control_number,
        payer_claim_number=claim.insurance_reference_number,
        total=f"{claim.billed_amount:f}",
        from_on=days[0],
        to_on=days[-1] if days[-1] != days[0] else "",
        **_people(coverage)._asdict(),
    )


def originator(biller: Billing) -> str:
    """Return TRN03, who asks in ten characters: the tax id of an organisation, never a social security number."""
    if biller.tax_id not in ("", UNREADABLE) and biller.tax_id_type == "EI":
        return f"1{biller.tax_id}"
    return f"9{biller.npi[:9]}"


def _people(coverage: PatientInsurance) -> People:
    patient, plan = coverage.patient, coverage.insurance_plan
    relationship = RELATIONS.get(Relationship(coverage.policy_holder_relationship), OTHER)
    if plan.dependents_are_members:
        relationship = SELF
    last, first = ("", "") if relationship == SELF else holder_name(coverage)
    return People(
        relationship=relationship,
        member_id=_member_id(coverage),
        group_number=coverage.group_number or plan.group_number,
        holder_last=last,
        holder_first=first,
        holder_birth="" if relationship == SELF else _day(coverage.policy_holder_dob),
        holder_sex="" if relationship == SELF else SEXES.get(coverage.policy_holder_sex, ""),
        patient_last=patient.last_name,
        patient_first=patient.first_name,
        patient_birth=_day(patient.date_of_birth),
        patient_sex=SEXES.get(coverage.patient_sex or patient.gender, ""),
    )


def _member_id(coverage: PatientInsurance) -> str:
    """Return the number as claims send it, see `claim_facts.MEMBER`: a payer would not know the card's hyphens."""
    plan = coverage.insurance_plan
    by_kind = not plan.claim_filing_code and plan.plan_type == InsurancePlan.PlanType.MEDICARE
    is_medicare = by_kind or plan.claim_filing_code in MEDICARE
    return medicare_number(coverage.member_id) if is_medicare else coverage.member_id


def holder_name(coverage: PatientInsurance) -> tuple[str, str]:
    """Return last and first name of the holder; of a name in one piece the last word, or what stands before a comma."""
    if coverage.policy_holder_last_name:
        return coverage.policy_holder_last_name, coverage.policy_holder_first_name
    name = coverage.policy_holder_name.strip()
    if "," in name:
        last, _, first = name.partition(",")
        return last.strip(), first.strip()
    first, _, last = name.rpartition(" ")
    return last, first.strip()


def _days(claim: Any) -> set[str]:
    lines = [(line.service_from, line.service_to or line.service_from) for line in claim.lines.all()]
    return {_day(day) for pair in lines for day in pair} or {_day(claim.service_date)}


def _day(day: date | None) -> str:
    return f"{day:%Y%m%d}" if day else ""
