"""Faults as they are made at a desk, stored as a desk stores them: each is found, by the edit that has to name it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from backend.apps.core.models import Clinic
from backend.apps.doctors.models import Doctor
from backend.apps.insurance import scrubbing
from backend.apps.insurance.edits import REGISTRY, Severity
from backend.apps.insurance.models import BillingEntity, Code, CodeSet, InsuranceClaim, PatientInsurance
from backend.apps.insurance.tests import factories
from backend.apps.insurance.tests.factories import line, make_claim, make_patient_insurance, make_plan
from backend.apps.patients.tests.factories import make_patient

pytestmark = pytest.mark.django_db
Over = Mapping[str, Any]
WRONG_NPI = "1234567890"
MEDICARE = {"plan_type": "medicare", "claim_filing_code": "MB"}
MEDICAID = {"plan_type": "medicaid"}
MBI = {"member_id": "1eg4-te5-mk73"}
TWELVE = [f"A{number}" for number in range(10, 22)]
LISTS: Mapping[str, Mapping[str, Over]] = {
    "icd10cm": {
        "E119": {}, "I10": {}, "W19XXXA": {}, "S7200XA": {}, "N400": {"sex": "M"}, "P220": {"age_to": 0},
        **{code: {} for code in TWELVE},
    },
    "cpt": {
        "99213": {}, "36415": {}, "00142": {}, "85025": {}, "55700": {"sex": "M"}, "99381": {"age_to": 0},
        "0001F": {}, "J1885": {},
    },
    "mue": {"99213": {"most_units": 3, "indicator": "2"}},
}  # fmt: skip


class ago(int):  # noqa: N801  # reads as a word in the table: how many days before the clinic's today
    pass


def dated(over: Over) -> dict[str, Any]:
    today = Clinic.today()
    return {name: today - timedelta(days=value) if isinstance(value, ago) else value for name, value in over.items()}


class Defect(NamedTuple):
    """What somebody did, the edit that names it, and by which row: claim, line, coverage, patient, plan, route, ..."""

    words: str
    rule: str
    rows: Mapping[str, Any]


LINES = [
    ("a code one digit short", "procedure-form", {"code": "9921"}),
    ("a local code of long ago", "procedure-form", {"code": "W1234"}),
    ("a code in small letters", "procedure-form", {"code": "j1885"}),
    ("the letter I for a one", "procedure-form", {"code": "992I3"}),
    ("a code with its modifier in it", "procedure-form", {"code": "99-25"}),
    ("a code that CPT does not have", "procedure-not-valid", {"code": "99299"}),
    ("one half of a modifier", "modifier-form", {"modifiers": ["2"]}),
    ("a modifier in small letters", "modifier-form", {"modifiers": ["lt"]}),
    ("a modifier twice", "modifier-twice", {"modifiers": ["25", "25"]}),
    ("units in days", "unit-basis-unknown", {"unit_basis": "DA"}),
    ("a visit four times a day", "units-unusual", {"units": 4}),
    ("anesthesia by the unit", "anesthesia-minutes", {"code": "00142"}),
    ("no pointer", "pointer-missing", {"diagnosis_pointers": []}),
    ("a pointer to a third diagnosis of two", "pointer-unknown", {"diagnosis_pointers": [3]}),
    ("a pointer to the place before the first", "pointer-unknown", {"diagnosis_pointers": [0]}),
    ("a pointer twice", "pointer-twice", {"diagnosis_pointers": [1, 1]}),
    ("an NDC of ten digits", "ndc-form", {"ndc": "1234567890", "ndc_quantity": "1", "ndc_unit": "ML"}),
    ("an NDC of zeros", "ndc-form", {"ndc": "00000000000", "ndc_quantity": "1", "ndc_unit": "ML"}),
    ("an NDC without a quantity", "ndc-quantity", {"ndc": "00409379501", "ndc_unit": "ML"}),
    ("a drug by the quart", "ndc-unit", {"ndc": "00409379501", "ndc_quantity": "1", "ndc_unit": "QT"}),
    ("a prostate's biopsy of a woman", "procedure-sex", {"code": "55700"}),
    ("a newborn's visit of an adult", "procedure-age", {"code": "99381"}),
    ("a place that CMS has not", "line-place-unknown", {"place_of_service": "98"}),
    ("a place in one digit", "line-place-unknown", {"place_of_service": "2"}),
    ("telehealth without its modifier", "telehealth-modifier", {"place_of_service": "02"}),
    ("a modifier of telehealth in the office", "telehealth-place", {"modifiers": ["95"]}),
    ("a service of tomorrow", "service-in-future", {"service_date": ago(-1)}),
    ("a service before the patient was born", "service-before-birth", {"service_date": "1900-01-01"}),
    ("days the wrong way round", "service-ends-before-it-begins", {"service_to": ago(9)}),
    ("a day before the coverage", "coverage-begins-later", {"service_date": "2023-12-31"}),
    ("everything for nothing", "total-not-positive", {"charge": "0.00"}),
    ("a service that costs nothing", "charge-not-positive", {"charge": "0.00"}),
]
CLAIMS = [
    ("no diagnosis", "diagnosis-missing", {"diagnosis_codes": []}),
    ("a diagnosis twice", "diagnosis-twice", {"diagnosis_codes": ["E11.9", "E11.9"]}),
    ("a fall before what it broke", "external-cause-first", {"diagnosis_codes": ["W19.XXXA", "S72.00XA"]}),
    ("a heading for a code", "diagnosis-not-valid", {"diagnosis_codes": ["E11"]}),
    ("a code that is too long by one", "diagnosis-not-valid", {"diagnosis_codes": ["E11.90"]}),
    ("a diagnosis in small letters", "diagnosis-form", {"diagnosis_codes": ["e11.9"]}),
    ("a code of ICD-9", "diagnosis-form", {"diagnosis_codes": ["250.00"]}),
    ("a letter and one digit", "diagnosis-form", {"diagnosis_codes": ["E1"]}),
    ("words for a diagnosis", "diagnosis-form", {"diagnosis_codes": ["DIABETES"]}),
    ("a man's diagnosis of a woman", "diagnosis-sex", {"diagnosis_codes": ["N40.0"]}),
    ("a newborn's diagnosis of an adult", "diagnosis-age", {"diagnosis_codes": ["P22.0"]}),
    ("no service", "line-missing", {"procedure_codes": []}),
    ("one service twice", "procedure-repeated", {"procedure_codes": [line(), line()]}),
    ("the place of nothing", "place-unknown", {"place_of_service": "00"}),
    ("in hospital since no day", "admission-missing", {"place_of_service": "21"}),
    ("an accident on no day", "accident-day-missing", {"accident": "OA"}),
    ("a crash in no state", "accident-state-missing", {"accident": "AA", "accident_on": ago(9)}),
    ("an accident of no kind", "accident-unknown", {"accident": "XX", "accident_on": ago(9)}),
    ("an accident after its treatment", "accident-after-service", {"accident": "OA", "accident_on": ago(3)}),
    ("an illness after its treatment", "onset-after-service", {"onset_on": ago(3)}),
    ("out of hospital before in", "discharge-before-admission", {"admission_on": ago(8), "discharge_on": ago(9)}),
    ("a reason of delay that is none", "delay-reason-unknown", {"delay_reason": "12"}),
    ("more paid than billed", "patient-paid-too-much", {"patient_paid": 999}),
    ("a referral by nobody", "referral-without-doctor", {"referral_number": "R1"}),
    ("nobody who gave the service", "rendering-missing", {"rendering_doctor": None}),
    ("nobody who bills", "billing-missing", {"billing_entity": None}),
    ("a visit of last year", "filing-late", {"service_date": ago(200)}),
    ("a visit that waits for long", "filing-soon-late", {"service_date": ago(160)}),
]
OTHERS = [
    ("a box for an address", "billing-po-box", "billing", {"address_line1": "P.O. Box 12"}),
    ("a postal code without its last four", "billing-zip", "billing", {"postal_code": "12207"}),
    ("an NPI with two digits changed", "billing-npi", "billing", {"npi": WRONG_NPI}),
    ("a tax number with eight digits", "billing-tax-id", "billing", {"tax_id": "12345678"}),
    ("a state that is none", "billing-state", "billing", {"state": "XX"}),
    ("an exchange that begins with one", "billing-phone", "billing", {"contact_phone": "+15181345678"}),
    ("a taxonomy in words", "billing-taxonomy", "billing", {"taxonomy": "INTERNIST"}),
    ("no street", "billing-address", "billing", {"address_line1": ""}),
    ("half an address for the money", "billing-pay-to", "billing", {"pay_to_address_line1": "PO Box 1"}),
    ("a place with a short postal code", "facility-zip", "facility", {"postal_code": "12180"}),
    ("a place with a wrong NPI", "facility-npi", "facility", {"npi": WRONG_NPI}),
    ("a place without a city", "facility-address", "facility", {"city": ""}),
    ("a referring doctor with a wrong NPI", "provider-npi", "referring", {"npi": WRONG_NPI}),
    ("a coverage that had ended", "coverage-ended", "coverage", {"termination_date": ago(30)}),
    ("a coverage that was taken away", "coverage-deleted", "coverage", {
        "is_deleted": True, "deleted_at": datetime(2026, 1, 1, tzinfo=UTC)}),
    ("a second payer before the first", "earlier-payer-missing", "coverage", {"priority": 2}),
    ("one letter for a member's number", "member-id-length", "coverage", {"member_id": "W"}),
    ("half a holder", "holder-name", "coverage", {
        "policy_holder_relationship": "spouse", "policy_holder_name": "Lind", "policy_holder_dob": date(1980, 1, 1)}),
    ("a holder's last name alone", "patient-name", "coverage", {"policy_holder_last_name": "Lind"}),
    ("no street of the patient's", "patient-address", "patient", {"address_line1": ""}),
    ("a patient's state in full", "patient-state", "patient", {"state": "New York"}),
    ("a patient's postal code with four digits", "patient-zip", "patient", {"postal_code": "1220"}),
    ("no authorisation where one is wanted", "authorisation-missing", "plan", {"needs_prior_authorization": True}),
    ("no referral where one is wanted", "referral-missing", "plan", {"needs_referral": True}),
    ("no number of a referral", "referral-number-missing", "plan", {"needs_referral": True}),
    ("a plan filed under letters of its own", "filing-code-unknown", "plan", {"claim_filing_code": "PP"}),
    ("another payer's number", "member-id-form", "route", {"member_id_pattern": "M[0-9]{9}"}),
]  # fmt: skip
TOGETHER = [
    Defect("five pointers", "pointer-too-many", {
        "claim": {"diagnosis_codes": TWELVE}, "line": {"diagnosis_pointers": [1, 2, 3, 4, 5]}}),
    Defect("Medicare's number with a letter it never has", "medicare-number", {
        "plan": MEDICARE, "coverage": {"member_id": "1SG4TE5MK73"}}),
    Defect("more units than Medicare ever takes", "units-too-many", {
        "plan": MEDICARE, "coverage": MBI, "line": {"units": 4}}),
    Defect("the same on two lines", "units-too-many", {
        "plan": MEDICARE, "coverage": MBI,
        "claim": {"procedure_codes": [line(units=2), line(units=2, modifiers=["59"])]}}),
    Defect("Medicare second for no reason", "medicare-secondary-missing", {
        "plan": MEDICARE, "coverage": {**MBI, "priority": 2}}),
    Defect("a drug without its NDC", "ndc-missing", {"plan": MEDICAID, "line": {"code": "J1885"}}),
    Defect("a test without a CLIA number", "clia-missing", {"plan": MEDICAID, "line": {"code": "85025"}}),
    Defect("two years on one claim", "two-years", {
        "route": {"wants_one_year": True},
        "claim": {"procedure_codes": [line(service_date="2025-06-01"), line(service_date="2024-06-01")]}}),
]  # fmt: skip
DEFECTS = [
    *(Defect(words, rule, {"line": over}) for words, rule, over in LINES),
    *(Defect(words, rule, {"claim": over}) for words, rule, over in CLAIMS),
    *(Defect(words, rule, {row: over}) for words, rule, row, over in OTHERS),
    *TOGETHER,
]


class Desk(NamedTuple):
    """What sound claims share."""

    biller: BillingEntity
    doctor: Doctor
    coverage: PatientInsurance

    def store(self, rows: Mapping[str, Any]) -> InsuranceClaim:
        over = {"billing_entity": self.biller, "rendering_doctor": self.doctor, **dated(rows.get("claim", {}))}
        if "line" in rows:
            days = {name: f"{day}" for name, day in dated(rows["line"]).items() if isinstance(day, date)}
            over["procedure_codes"] = [line(**{**rows["line"], **days})]
        if "billing" in rows:
            over["billing_entity"] = factories.billing_entity(**rows["billing"])
        if "facility" in rows:
            over["service_facility"] = factories.service_facility(**rows["facility"])
        if "referring" in rows:
            over["referring_provider"] = factories.referring_provider(**rows["referring"])
        return make_claim(patient_insurance=self._covered(rows), **over)

    def _covered(self, rows: Mapping[str, Any]) -> PatientInsurance:
        if rows.keys().isdisjoint({"coverage", "patient", "plan", "route"}):
            return self.coverage
        plan = self.coverage.insurance_plan
        if "plan" in rows or "route" in rows:
            plan = make_plan(timely_filing_days=180, **rows.get("plan", {}))
            factories.route(provider=plan.provider, **rows.get("route", {}))
        patient = make_patient(gender="female", **rows.get("patient", {}))
        return make_patient_insurance(patient=patient, insurance_plan=plan, **dated(rows.get("coverage", {})))


def desk() -> Desk:
    """Return a desk with the code lists it loaded."""
    for kind, codes in LISTS.items():
        edition = CodeSet.objects.create(kind=kind, version=kind, valid_from=date(2000, 1, 1), sha256="0" * 64)
        Code.objects.bulk_create(Code(code_set=edition, code=code, facts=facts) for code, facts in codes.items())
    plan = make_plan(timely_filing_days=180)
    factories.route(provider=plan.provider)
    coverage = make_patient_insurance(patient=make_patient(gender="female"), insurance_plan=plan)
    return Desk(factories.billing_entity(), factories.rendering_doctor(), coverage)


def test_each_of_the_defects_is_found_by_the_edit_that_has_to_name_it() -> None:
    at = desk()
    stored = [(defect, at.store(defect.rows)) for defect in DEFECTS]
    found = scrubbing.scrub_each([claim.pk for _, claim in stored])
    rules = {key: {one.rule for one in said} for key, said in found.items()}
    missed = [(one.words, one.rule, rules.get(str(claim.pk))) for one, claim in stored
              if one.rule not in rules.get(str(claim.pk), set())]  # fmt: skip
    assert missed == []
    assert len({defect.words for defect in DEFECTS}) >= 69
    keeping = {rule.id for rule in REGISTRY if rule.severity == Severity.ERROR}
    assert len([defect for defect in DEFECTS if defect.rule in keeping]) >= 69


def test_a_claim_without_a_defect_has_no_finding() -> None:
    assert scrubbing.scrub(desk().store({})) == []


def test_medicares_number_and_the_clia_number_of_the_place_reach_the_claim_as_a_file_has_them() -> None:
    at = desk()
    place = {"clia_number": "45D1234567"}
    claim = at.store({"plan": MEDICARE, "coverage": MBI, "facility": place, "line": {"code": "85025"}})
    (said,) = scrubbing.claim_facts.of_many([claim.pk])
    assert (said.member_id, said.clia) == ("1EG4TE5MK73", "45D1234567")
    assert scrubbing.scrub(claim) == []
